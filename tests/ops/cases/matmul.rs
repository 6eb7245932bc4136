use wan_animate::unversioned::dtype::DType::{self, Bf16, F16, F32};
use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::ops::Activation;
use wan_animate::unversioned::ops::matrix::Matrix;
use wan_animate::unversioned::ops::{epilogue::Epilogue, matmul::matmul, matmul::matmul_int8};

use crate::case::{Case, Refusal, Sizes, op};
use crate::host::{Host, matrix, send};

fn case(what: &str, x: Host, w: Host, epilogue: oracle::Epilogue, dtype: DType) -> Case {
    let name = format!("matmul {what}: {:?} {} by {:?} {}", x.shape, x.dtype, w.shape, w.dtype);
    let (x2, w2, epilogue2) = (x.clone(), w.clone(), epilogue.clone());
    let prepare = move |rec: &mut Recorder| {
        let (x, w, activation) = (x.send(rec)?, matrix(&w, rec.device())?, epilogue.activation);
        let (bias, gate, residual) = (send(&epilogue.bias, rec)?, send(&epilogue.gate, rec)?, send(&epilogue.residual, rec)?);
        op(move |rec| {
            let epilogue = Epilogue { bias: bias.as_ref(), activation, gate: gate.as_ref(), residual: residual.as_ref() };
            matmul(rec, &x, &w, epilogue, dtype)
        })
    };
    Case::prepared(name, prepare, move || oracle::matmul(&x2, &w2, &epilogue2))
}

/// In 8 bits.
fn int8(what: &str, x: Host, w: Host, epilogue: oracle::Epilogue, dtype: DType) -> Case {
    let name = format!("matmul int8 {what}: {:?} {} by {:?} {}", x.shape, x.dtype, w.shape, w.dtype);
    let (x2, w2, epilogue2) = (x.clone(), w.clone(), epilogue.clone());
    let prepare = move |rec: &mut Recorder| {
        let (x, w, activation) = (x.send(rec)?, matrix(&w, rec.device())?, epilogue.activation);
        let (bias, gate, residual) = (send(&epilogue.bias, rec)?, send(&epilogue.gate, rec)?, send(&epilogue.residual, rec)?);
        op(move |rec| {
            let epilogue = Epilogue { bias: bias.as_ref(), activation, gate: gate.as_ref(), residual: residual.as_ref() };
            matmul_int8(rec, &x, &w, epilogue, dtype)
        })
    };
    Case::prepared(name, prepare, move || oracle::matmul_int8(&x2, &w2, &epilogue2))
}

/// Whole numbers from -127 to 127 times a power of two for each 32, the first of which are the largest.
fn whole(seed: u64, rows: usize, cols: usize) -> Host {
    let numbers = Host::random(seed, &[rows, cols], 127.49);
    Host::new(&[rows, cols], |i| {
        let (group, place) = (i / 32, i % 32);
        let code = if place == 0 { if group % 2 == 0 { 127.0 } else { -127.0 } } else { numbers.values[i].round() };
        code * 2f32.powi(-(group as i32 % 5) - 3)
    })
}

fn all_int8() -> Vec<Case> {
    let plain = oracle::Epilogue::default;
    let exact = |what, [rows, inner, cols]: [usize; 3], types: [DType; 3], epilogue| {
        let (x, w) = (whole(1, rows, inner).to(types[0]), whole(2, cols, inner).to(types[1]));
        int8(what, x, w, epilogue, types[2])
    };
    let mut cases = vec![
        exact("one tile", [33, 64, 96], [F32; 3], plain()),
        exact("several tiles", [150, 96, 200], [F16, F16, F32], full(150, 200, Activation::None)),
        exact("larger tiles", [900, 32, 600], [F16, Bf16, F16], bias_only(600, Activation::None)),
        exact("the largest tiles", [1100, 32, 980], [F16, F16, F32], plain()),
        exact("columns of no vec4s", [40, 64, 21], [F16, F16, F32], full(40, 21, Activation::None)),
        exact("and a residual in f16", [33, 32, 64], [F16; 3], with_f16(full(33, 64, Activation::None))),
        exact("few rows", [9, 64, 24], [F16, F16, F32], plain()),
        exact("rows of no groups", [33, 40, 24], [F16, F16, F32], plain()),
        int8("of any numbers", Host::random(6, &[40, 160], 3.0), Host::random(7, &[36, 160], 0.2), full(40, 36, Activation::GeluTanh), F32),
        int8("of zeros", Host::new(&[20, 64], |i| if i % 64 < 32 { 0.0 } else { 1.0 }), whole(3, 32, 64), plain(), F32),
    ];
    let activated = |activation| exact("and an activation", [33, 32, 64], [F16, F16, F32], bias_only(64, activation));
    cases.extend(Activation::ALL.map(activated));
    cases
}

fn random(rows: usize, inner: usize, cols: usize) -> (Host, Host) {
    (Host::random(1, &[rows, inner], 1.0), Host::random(2, &[cols, inner], 1.0))
}

/// Everything that may follow a product.
fn full(rows: usize, cols: usize, activation: Activation) -> oracle::Epilogue {
    let vector = |seed| Some(Host::random(seed, &[cols], 2.0));
    oracle::Epilogue { bias: vector(3), activation, gate: vector(4), residual: Some(Host::random(5, &[rows, cols], 2.0)) }
}

fn with_f16(epilogue: oracle::Epilogue) -> oracle::Epilogue {
    oracle::Epilogue { residual: epilogue.residual.map(|residual| residual.to(F16)), ..epilogue }
}

fn bias_only(cols: usize, activation: Activation) -> oracle::Epilogue {
    oracle::Epilogue { bias: Some(Host::random(3, &[cols], 2.0)), activation, ..Default::default() }
}

pub fn cases() -> Vec<Case> {
    let plain = oracle::Epilogue::default;
    let sized = |what, [rows, inner, cols]: [usize; 3], epilogue| {
        let (x, w) = random(rows, inner, cols);
        case(what, x, w, epilogue, F32)
    };
    let typed = |what, [rows, inner, cols]: [usize; 3], types: [DType; 3]| {
        let (x, w) = random(rows, inner, cols);
        case(what, x.to(types[0]), w.to(types[1]), bias_only(cols, Activation::None), types[2])
    };
    let huge = |size: f32| {
        let (x, w) = (Host::random(8, &[20, 16], size).to(F16), Host::random(9, &[32, 16], size));
        case("near the largest f16", x, w, plain(), F16)
    };
    let mut cases = vec![
        sized("one tile", [33, 64, 96], plain()),
        sized("several tiles", [150, 40, 200], plain()),
        sized("rows of no vec4s", [70, 30, 22], full(70, 22, Activation::None)),
        sized("many rows", [300, 45, 70], full(300, 70, Activation::None)),
        sized("whole vec4s", [40, 32, 64], full(40, 64, Activation::GeluTanh)),
        sized("one row", [1, 128, 48], bias_only(48, Activation::Silu)),
        sized("one row of no vec4s", [1, 7, 13], full(1, 13, Activation::None)),
        sized("one number", [1, 1, 1], plain()),
        sized("few columns", [50, 64, 12], bias_only(12, Activation::None)),
        sized("one column", [50, 5, 1], plain()),
        sized("long rows", [17, 2048, 20], plain()),
        // More weights than the smallest device takes in one binding.
        sized("a large matrix", [3, 160, 600], full(3, 600, Activation::None)),
        sized("a large matrix of no vec4s", [20, 129, 607], plain()),
        typed("f16 weights", [33, 64, 96], [F32, F16, F32]),
        typed("bf16 weights", [33, 64, 96], [F32, Bf16, F32]),
        typed("f16 everywhere", [33, 64, 96], [F16, F16, F16]),
        typed("f16 everywhere, one row", [1, 64, 96], [F16, F16, F16]),
        // By the larger tiles of cooperative matrices: of a depth of 64 with software drivers.
        typed("f16 of many tiles", [1100, 128, 980], [F16, F16, F32]),
        typed("f16 of many tiles, with a tail", [1100, 100, 980], [F16, F16, F32]),
        typed("f16 that cannot be stored", [33, 64, 95], [F16, F32, F16]),
        case(
            "an f16 residual",
            Host::random(1, &[20, 32], 1.0),
            Host::random(2, &[24, 32], 1.0),
            oracle::Epilogue { residual: Some(Host::random(3, &[20, 24], 4.0).to(F16)), ..Default::default() },
            F16,
        ),
        huge(100.0),
        huge(255.0),
        case(
            "cancellation",
            Host::new(&[4, 64], |i| if i % 2 == 0 { 65504.0 } else { -65504.0 }),
            Host::random(2, &[8, 64], 1.0),
            plain(),
            F32,
        ),
    ];
    let (x, w) = random(33, 64, 96);
    let halves = |what, epilogue| case(what, x.clone().to(F16), w.clone().to(F16), epilogue, F32);
    let (odd_x, odd_w) = random(33, 64, 21);
    cases.extend([
        halves("in f16, and all that follows", full(33, 96, Activation::None)),
        halves("in f16, and a residual in f16", with_f16(full(33, 96, Activation::None))),
        case("in f16, of no vec4s", odd_x.to(F16), odd_w.to(F16), full(33, 21, Activation::None), F32),
        typed("bf16 weights of f16", [33, 64, 96], [F16, Bf16, F32]),
    ]);
    cases.extend(Activation::ALL.map(|activation| halves("in f16, and an activation", bias_only(96, activation))));
    let activated =
        |activation| [[9, 8, 20], [1, 8, 20], [40, 32, 64]].map(|size| sized("and an activation", size, bias_only(size[2], activation)));
    cases.extend(Activation::ALL.into_iter().flat_map(activated));
    cases.extend(all_int8());
    cases
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    let shapes = match sizes {
        Sizes::Small => vec![([512; 3], F32), ([1024; 3], F32), ([1024; 3], F16), ([1024; 3], Bf16), ([1, 1024, 1024], F16)],
        Sizes::Wan => [[32_768, 5120, 5120], [32_768, 13_824, 5120], [32_768, 5120, 13_824]]
            .into_iter()
            .flat_map(|shape| [(shape, F16), (shape, Bf16)])
            .collect(),
    };
    shapes.into_iter().map(|([rows, cols, inner], dtype)| {
        let (x, w) = random(rows, inner, cols);
        let x = x.to(if dtype == F32 { F32 } else { F16 });
        case("", x, w.to(dtype), oracle::Epilogue::default(), F32).named(format!("matmul {rows}x{cols}x{inner} {dtype}"))
    })
}

pub fn refusals() -> Vec<Refusal> {
    let (x, w) = random(4, 8, 12);
    let with = |says, x: Host, change: fn(&mut oracle::Epilogue)| {
        let (w, mut epilogue) = (w.clone(), oracle::Epilogue::default());
        change(&mut epilogue);
        let case = case("refused", x, w, epilogue, F32);
        Refusal { says, prepare: case.prepare }
    };
    let upload = |says, shape: [usize; 2], dtype, bytes: usize| {
        Refusal::new(says, [], move |rec, []| {
            Matrix::upload(rec.device(), "w", shape, dtype, &|| Ok(vec![0; bytes].into()))?;
            rec.alloc(&shape, dtype)
        })
    };
    vec![
        with("w: K is 8, was 7", Host::random(1, &[4, 7], 1.0), |_| ()),
        with("x: shape [8], expected [L, K]", Host::random(1, &[8], 1.0), |_| ()),
        with("bias: N is 11, was 12", x.clone(), |e| e.bias = Some(Host::random(1, &[11], 1.0))),
        with("gate: N is 1, was 12", x.clone(), |e| e.gate = Some(Host::random(1, &[1], 1.0))),
        with("residual: L is 5, was 4", x.clone(), |e| e.residual = Some(Host::random(1, &[5, 12], 1.0))),
        with("`bias` of the kernel `matmul_reg` cannot be", x, |e| e.bias = Some(Host::random(1, &[12], 1.0).to(F16))),
        upload("8 bytes for f32 [1, 3]", [1, 3], F32, 8),
        upload("no multiple of four", [1, 3], F16, 6),
        upload("0 bytes", [0, 4], F32, 0),
    ]
}

pub mod oracle {
    use wan_animate::unversioned::ops::Activation;

    use crate::approx::{Approx, sum};
    use crate::cases::activation::oracle::activate;
    use crate::host::Host;

    #[derive(Clone, Debug, Default)]
    pub struct Epilogue {
        pub bias: Option<Host>,
        pub activation: Activation,
        pub gate: Option<Host>,
        pub residual: Option<Host>,
    }

    pub fn matmul(x: &Host, w: &Host, epilogue: &Epilogue) -> Vec<Approx> {
        finished(x, w, epilogue, |row, col| sum((0..x.cols()).map(|k| x.at(row * x.cols() + k) * w.at(col * x.cols() + k))))
    }

    /// A group's integers are exact, and those of all groups are summed.
    pub fn matmul_int8(x: &Host, w: &Host, epilogue: &Epilogue) -> Vec<Approx> {
        let (x_groups, w_groups) = (groups(x), groups(w));
        let of_a_row = x.cols() / 32;
        if !x.cols().is_multiple_of(32) || x.rows() <= 16 {
            return matmul(x, w, epilogue);
        }
        finished(x, w, epilogue, |row, col| {
            let group = |g: usize| {
                let (a, b) = (&x_groups[row * of_a_row + g], &w_groups[col * of_a_row + g]);
                let product: i64 = a.codes.iter().zip(&b.codes).map(|(a, b)| a * b).sum();
                // A number half way between two steps may have become either.
                let unsure = a.rounding.iter().zip(&b.codes).map(|(error, code)| error * (*code as f64).abs()).sum::<f64>()
                    + b.rounding.iter().zip(&a.codes).map(|(error, code)| error * (*code as f64).abs()).sum::<f64>()
                    + a.rounding.iter().zip(&b.rounding).map(|(a, b)| a * b).sum::<f64>();
                Approx::exact(product as f64).widened(unsure) * (a.step * b.step)
            };
            sum((0..of_a_row).map(group))
        })
    }

    /// 32 numbers of a row in steps, and by how many steps a code may be another.
    struct Group {
        step: Approx,
        codes: Vec<i64>,
        rounding: Vec<f64>,
    }

    fn groups(host: &Host) -> Vec<Group> {
        let group = |values: &[f32]| {
            let most = values.iter().fold(0f32, |most, value| most.max(value.abs()));
            let step = Approx::exact(most) / Approx::exact(127.0f32);
            let steps = values.iter().map(|&value| f64::from(value) / step.value.max(1e-30));
            let near = |steps: f64| if (steps.abs().fract() - 0.5).abs() < 1e-4 { 1.0 } else { 0.0 };
            Group { step, codes: steps.clone().map(|steps| steps.round() as i64).collect(), rounding: steps.map(near).collect() }
        };
        host.values.chunks(32).map(group).collect()
    }

    fn finished(x: &Host, w: &Host, epilogue: &Epilogue, product: impl Fn(usize, usize) -> Approx) -> Vec<Approx> {
        let element = |row: usize, col: usize| {
            let product = product(row, col);
            let biased = epilogue.bias.as_ref().map_or(product, |bias| product + bias.at(col));
            let active = activate(epilogue.activation, biased);
            let gated = epilogue.gate.as_ref().map_or(active, |gate| gate.at(col) * active);
            epilogue.residual.as_ref().map_or(gated, |residual| residual.at(row * w.rows() + col) + gated)
        };
        (0..x.rows()).flat_map(|row| (0..w.rows()).map(move |col| element(row, col)).collect::<Vec<_>>()).collect()
    }
}
