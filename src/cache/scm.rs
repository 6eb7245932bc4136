//! The masks of cache-dit: runs of evaluations that are computed and runs that are reused, in turn, computed first.

use crate::cache::method::ScmPolicy;
use crate::error::{Error, Result};

/// Lengths of the runs.
#[derive(Clone)]
struct Runs {
    computed: Vec<usize>,
    reused: Vec<usize>,
}

/// Steps that the policies are stated for.
const STEPS: usize = 28;

/// The mask of a policy for so many evaluations; the last is computed.
///
/// # Errors
/// [`Error::Input`] for fewer than 8, but for 4 and 6: cache-dit states no others.
pub fn mask(policy: ScmPolicy, count: usize) -> Result<Vec<bool>> {
    let mut runs = Runs::of(policy, count)?;
    if count > STEPS {
        runs.stretch(count);
    }
    runs.cut(count);
    let mut mask = runs.mask(count);
    mask[count - 1] = true;
    Ok(mask)
}

impl Runs {
    fn of(policy: ScmPolicy, count: usize) -> Result<Self> {
        // Slow, medium, fast, ultra.
        let table: [(&[usize], &[usize]); 4] = match count {
            4 => [(&[2, 1], &[1]); 4],
            6 => [(&[3, 1], &[2]); 4],
            0..8 => return Err(Error::Input(format!("masks of cache-dit for {count} steps: there are some for 4, 6, and 8 and more"))),
            8 => [(&[5, 1, 1], &[1]), (&[4, 1, 1], &[1, 1]), (&[3, 1, 1], &[1, 2]), (&[2, 1, 1], &[2, 2])],
            9 => [(&[5, 2, 1], &[1]), (&[5, 1, 1], &[1, 1]), (&[4, 1, 1], &[1, 2]), (&[3, 1, 1], &[2, 2])],
            10..16 => [
                (&[4, 2, 2, 2, 1], &[1, 1, 1, 1]),
                (&[4, 2, 1, 1, 1], &[1, 1, 2, 2]),
                (&[3, 1, 1, 1, 1], &[1, 2, 2, 3]),
                (&[2, 1, 1, 1, 1], &[1, 2, 3, 3]),
            ],
            _ => [
                (&[8, 3, 3, 2, 1, 1], &[1, 2, 2, 2, 3]),
                (&[6, 2, 2, 2, 2, 1], &[1, 3, 3, 3, 3]),
                (&[6, 1, 1, 1, 1, 1], &[1, 3, 4, 5, 4]),
                (&[4, 1, 1, 1, 1], &[2, 5, 6, 7]),
            ],
        };
        let (computed, reused) = table[policy as usize];
        Ok(Self { computed: computed.into(), reused: reused.into() })
    }

    fn sum(&self) -> usize {
        self.computed.iter().chain(&self.reused).sum()
    }

    /// All runs in proportion, one after another, until there are enough.
    fn stretch(&mut self, count: usize) {
        let before = self.clone();
        let more = |run: usize| ((run as f64 * (count as f64 / STEPS as f64 * 0.5)) as usize).max(1);
        loop {
            for (i, (computed, reused)) in before.computed.iter().zip(&before.reused).enumerate() {
                self.computed[i] += more(*computed);
                if self.sum() >= count {
                    return;
                }
                self.reused[i] += more(*reused);
                if self.sum() >= count {
                    return;
                }
            }
            if let Some(last) = self.computed.last_mut() {
                *last += 1;
            }
            if self.sum() >= count {
                return;
            }
        }
    }

    /// The last runs one by one, a reused one and a computed one in turn.
    fn cut(&mut self, count: usize) {
        while self.sum() > count {
            for is_computed in [false, true] {
                let runs = if is_computed { &mut self.computed } else { &mut self.reused };
                if let Some(last) = runs.last_mut() {
                    *last -= 1;
                    if *last == 0 {
                        runs.pop();
                    }
                }
                if self.sum() <= count {
                    return;
                }
            }
        }
    }

    fn mask(&self, count: usize) -> Vec<bool> {
        let longest = self.computed.len().max(self.reused.len());
        let run = |runs: &[usize], i: usize, computed: bool| std::iter::repeat_n(computed, runs.get(i).copied().unwrap_or(0));
        let runs = (0..longest).flat_map(|i| run(&self.computed, i, true).chain(run(&self.reused, i, false)));
        runs.take(count).collect()
    }
}
