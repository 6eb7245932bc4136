//! The hot loop of a kernel in a compiler's listing: the one with the most matrix work, or else the most multiply-adds.

use std::collections::BTreeMap;

/// What the hot loop is made of.
#[derive(Default)]
pub struct Loop {
    pub instructions: usize,
    /// Of matrices.
    pub matrix: usize,
    /// Multiply-adds of vectors.
    pub fma: usize,
    pub lds_loads: usize,
    /// Those of 16 bits.
    pub narrow_lds_loads: usize,
    pub loads: usize,
    /// Waits for all loads that were begun.
    pub load_waits: usize,
    /// Loads that are waited for before another is begun.
    pub serial_loads: usize,
    /// Cycles of one wave: of matrix work, of multiply-adds, of all that the vector units do.
    matrix_cycles: usize,
    fma_cycles: usize,
    vector_cycles: usize,
}

impl Loop {
    /// The part of matrix work, or of multiply-adds where there is none, in all that the vector units do.
    pub fn share(&self) -> f64 {
        let work = if self.matrix > 0 { self.matrix_cycles } else { self.fma_cycles };
        work as f64 / self.vector_cycles.max(1) as f64
    }
}

type Block<'a> = (u32, Vec<&'a str>);

/// Of AMD's compiler, ACO. `generation` is 10, 11 or 12, for RDNA2 to RDNA4.
pub fn aco(listing: &str, lanes: u32, generation: u32) -> Loop {
    let blocks = aco_blocks(listing);
    let index: BTreeMap<u32, usize> = blocks.iter().enumerate().map(|(at, (number, _))| (*number, at)).collect();
    // By head: the last block that jumps back to it.
    let mut loops = BTreeMap::new();
    for (at, head) in jumps(&blocks, &index).filter(|(at, target)| target <= at) {
        let last = loops.entry(head).or_insert(at);
        *last = at.max(*last);
    }
    let rare = rare(&blocks, &index);
    let within = |inner: (usize, usize), outer: (usize, usize)| outer.0 <= inner.0 && inner.1 <= outer.1 && inner != outer;
    let own = |(first, last): (usize, usize)| {
        let inner: Vec<_> = loops.iter().map(|(&a, &z)| (a, z)).filter(|&inner| within(inner, (first, last))).collect();
        let mine = (first..=last).filter(|at| !inner.iter().any(|(a, z)| a <= at && at <= z) && !rare.contains(at));
        aco_loop(mine.flat_map(|at| blocks[at].1.iter().copied()), lanes, generation)
    };
    let all = loops.iter().map(|(&first, &last)| own((first, last)));
    all.max_by_key(|found| found.matrix * 1000 + found.fma).unwrap_or_default()
}

fn aco_blocks(listing: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block> = Vec::new();
    for line in listing.lines() {
        let number = line.strip_prefix("BB").and_then(|rest| rest.split(':').next()?.parse().ok());
        match (number, blocks.last_mut()) {
            (Some(number), _) => blocks.push((number, Vec::new())),
            (None, Some((_, instructions))) => {
                let code = line.split(" ; ").next().unwrap_or_default().trim();
                instructions.extend(code.split(" :: ").map(str::trim).filter(|code| !code.is_empty() && !code.starts_with(';')));
            }
            (None, None) => {}
        }
    }
    blocks
}

/// Where jumps stand and where they go, as indices of blocks.
fn jumps<'a>(blocks: &'a [Block], index: &'a BTreeMap<u32, usize>) -> impl Iterator<Item = (usize, usize)> + 'a {
    let target = |code: &&str| {
        let mut words = code.split_whitespace();
        let jump = words.next().is_some_and(|op| op == "s_branch" || op.starts_with("s_cbranch"));
        words.next().filter(|_| jump)?.strip_prefix("BB")?.parse::<u32>().ok()
    };
    let all = blocks.iter().enumerate().flat_map(move |(at, (_, codes))| codes.iter().filter_map(target).map(move |target| (at, target)));
    all.filter_map(|(at, target)| Some((at, *index.get(&target)?)))
}

/// Blocks that are jumped over as a rule: between a jump and its target without matrix work or multiply-adds, and either with
/// barriers, where attention takes its sums out to scale them, or long and without loads, where a convolution goes on to the next tap.
fn rare(blocks: &[Block], index: &BTreeMap<u32, usize>) -> Vec<usize> {
    const LONG: usize = 32;
    let skipped = jumps(blocks, index).filter(|&(at, target)| target > at + 1).map(|(at, target)| at + 1..target);
    let is_rare = |run: &std::ops::Range<usize>| {
        let codes = || blocks[run.clone()].iter().flat_map(|(_, codes)| codes.iter());
        let any = |test: &dyn Fn(&str) -> bool| codes().any(|code| test(code.split_whitespace().next().unwrap_or_default()));
        let works = any(&|op| op.starts_with("v_wmma"))
            || codes().filter(|code| is_fma(code.split_whitespace().next().unwrap_or_default())).count() > LONG;
        let loads = any(&|op| is_load(op) || op.starts_with("ds_"));
        !works && (any(&|op| op.starts_with("s_barrier")) || (!loads && codes().count() > LONG))
    };
    skipped.filter(is_rare).flatten().collect()
}

fn is_load(op: &str) -> bool {
    ["buffer_load", "global_load", "flat_load"].iter().any(|load| op.starts_with(load))
}

fn aco_loop<'a>(codes: impl Iterator<Item = &'a str>, lanes: u32, generation: u32) -> Loop {
    let mut found = Loop::default();
    let mut pending = 0;
    for code in codes {
        let op = code.split_whitespace().next().unwrap_or_default();
        if ["s_delay_alu", "s_clause", "s_nop", "s_set_inst_prefetch_distance", "s_inst_prefetch"].contains(&op) {
            continue;
        }
        found.instructions += 1;
        let (matrix, fma) = (op.starts_with("v_wmma"), is_fma(op));
        found.matrix += usize::from(matrix);
        found.fma += usize::from(fma);
        if op.starts_with("ds_load") || op.starts_with("ds_read") {
            found.lds_loads += 1;
            found.narrow_lds_loads += usize::from(op.contains("d16") || op.contains("u16"));
        }
        if is_load(op) {
            found.loads += 1;
            pending += 1;
        }
        if code.contains("vmcnt(0)") || ["s_wait_loadcnt 0x0", "s_wait_loadcnt_dscnt 0x0"].iter().any(|wait| code.starts_with(wait)) {
            found.load_waits += usize::from(pending > 0);
            found.serial_loads += usize::from(pending == 1);
            pending = 0;
        }
        if op.starts_with("v_") {
            let cycles = cycles(op, lanes, generation);
            found.matrix_cycles += if matrix { cycles } else { 0 };
            found.fma_cycles += if fma { cycles } else { 0 };
            found.vector_cycles += cycles;
        }
    }
    found
}

fn is_fma(op: &str) -> bool {
    let name = op.trim_start_matches("v_").trim_start_matches("dual_").trim_start_matches("pk_");
    let integer = ["mad_u", "mad_i"].iter().any(|prefix| name.starts_with(prefix)) || name.ends_with("u32") || name.ends_with("u64");
    op.starts_with("v_") && ["fma", "mad", "mac", "dot2"].iter().any(|prefix| name.starts_with(prefix)) && !integer
}

/// Of one vector instruction: a wave of 64 lanes takes two, a multiply-add one from RDNA3 on, where both halves go together.
fn cycles(op: &str, lanes: u32, generation: u32) -> usize {
    let passes = lanes as usize / 32;
    let slow = ["v_exp", "v_rcp", "v_rsq", "v_log", "v_sqrt", "v_sin", "v_cos"];
    match op {
        _ if op.starts_with("v_wmma") => 16 * passes / (1 + usize::from(generation > 11)),
        _ if is_fma(op) && generation > 10 && !op.contains("mix") && !op.contains("pk_") => passes.div_ceil(2),
        _ if slow.iter().any(|slow| op.starts_with(slow)) || op.contains("mul_lo") || op.contains("mul_hi") => 4 * passes,
        _ => passes,
    }
}

/// Of NVIDIA's cards, by NVK's compiler, NAK: instructions, those of matrices and multiply-adds alone.
pub fn nak(listing: &str) -> Loop {
    let blocks = nak_blocks(listing);
    let mut bodies: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (at, (number, _, next)) in blocks.iter().enumerate() {
        for head in next.iter().filter(|head| blocks.iter().position(|block| block.0 == **head).is_some_and(|to| to <= at)) {
            let body = bodies.entry(*head).or_default();
            let mut reached = vec![*number];
            while let Some(number) = reached.pop() {
                if !body.contains(&number) && number != *head {
                    body.push(number);
                    reached.extend(blocks.iter().filter(|block| block.2.contains(&number)).map(|block| block.0));
                }
            }
            if !body.contains(head) {
                body.push(*head);
            }
        }
    }
    let own = |(head, body): (&u32, &Vec<u32>)| {
        let inner: Vec<_> = bodies.iter().filter(|(other, inner)| *other != head && inner.iter().all(|n| body.contains(n))).collect();
        let mine = body.iter().filter(|number| !inner.iter().any(|(_, inner)| inner.contains(number)));
        nak_loop(mine.flat_map(|number| blocks.iter().filter(move |block| block.0 == *number).flat_map(|block| block.1.iter().copied())))
    };
    bodies.iter().map(own).max_by_key(|found| found.matrix * 1000 + found.fma).unwrap_or_default()
}

fn nak_blocks(listing: &str) -> Vec<(u32, Vec<&str>, Vec<u32>)> {
    let mut blocks: Vec<(u32, Vec<&str>, Vec<u32>)> = Vec::new();
    let mut open = false;
    for line in listing.lines() {
        let numbered = line.strip_prefix("block ").or(line.strip_prefix("block.u "));
        if let Some(number) = numbered.and_then(|rest| rest.split_whitespace().next()?.parse().ok()) {
            blocks.push((number, Vec::new(), Vec::new()));
            open = true;
        } else if let (Some(rest), Some(block)) = (line.strip_prefix("} -> ["), blocks.last_mut()) {
            block.2 = rest.split(']').next().unwrap_or_default().split(',').filter_map(|number| number.trim().parse().ok()).collect();
            open = false;
        } else if let (true, Some(block)) = (open, blocks.last_mut()) {
            block.1.extend(line.split("//").next().map(str::trim).filter(|code| !code.is_empty()));
        }
    }
    blocks
}

fn nak_loop<'a>(codes: impl Iterator<Item = &'a str>) -> Loop {
    let mut found = Loop::default();
    for code in codes {
        let operation = code.split_once(" = ").map_or(code, |(_, right)| right).trim_start();
        let op = operation.split_whitespace().find(|word| !word.starts_with('@')).unwrap_or_default();
        found.instructions += 1;
        found.matrix += usize::from(op.contains("mma"));
        found.fma += usize::from(op.starts_with("ffma") || op.starts_with("hfma2"));
        found.lds_loads += usize::from(op.starts_with("ldsm") || op.starts_with("lds") || op.starts_with("ld.shared"));
        found.narrow_lds_loads += usize::from(op.starts_with("ld.shared") && op.ends_with("16"));
        found.loads += usize::from(op.starts_with("ldg") || op.starts_with("ld.global"));
    }
    found
}
