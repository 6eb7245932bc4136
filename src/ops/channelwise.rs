//! Convolutions with a kernel of its own for each channel.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::kernel::{READ, READ_OPTIONAL, VECTOR_OPTIONAL, WRITE};
use crate::gpu::{Arg, Cost, Device, Family, Kernel, Recorder, Slot, Tensor, family};
use crate::ops::finish::{ALL_ACTIVATIONS, Finish};
use crate::ops::window::{Window, WindowParams};
use crate::shape::Dims;

const SLOTS: &[Slot] = &[
    Slot::read("x", READ),
    Slot::read("w", READ),
    Slot::read("bias", VECTOR_OPTIONAL),
    Slot::read("residual", READ_OPTIONAL),
    Slot::read("slope", VECTOR_OPTIONAL),
    Slot::write("out", WRITE),
];

pub static CHANNELWISE: Kernel = Kernel {
    slots: SLOTS,
    variants: &[&[("PIXELS", &[4, 8]), ("SLIDE", &[0, 1]), ("ACT", ALL_ACTIVATIONS)]],
    ..Kernel::of("channelwise", include_str!("../../wgsl/channelwise.wgsl"), size_of::<WindowParams>())
};

/// For software drivers, and square kernels of 3 or 5 that move by one or two pixels.
pub static CHANNELWISE_SG: Kernel = Kernel {
    workgroup: Family::SG_LANES,
    slots: SLOTS,
    variants: &[
        &[("PIXELS", &[4, 8]), ("K", SIZES), ("STRIDE", &[1]), ("ACT", ALL_ACTIVATIONS)],
        &[("PIXELS", &[4]), ("K", SIZES), ("STRIDE", &[2]), ("ACT", ALL_ACTIVATIONS)],
    ],
    ..Kernel::of("channelwise_sg", include_str!("../../wgsl/channelwise_sg.wgsl"), size_of::<WindowParams>())
};

const SIZES: &[u32] = &[3, 5];
/// Rows that a lane of [`CHANNELWISE_SG`] makes at most.
const ROWS: usize = 16;

/// Pixels of a row that a lane makes: eight, where that leaves no more over than four.
fn pixels(width: usize) -> usize {
    if width.next_multiple_of(8) == width.next_multiple_of(4) { 8 } else { 4 }
}

/// x [B, H, W, C] with w [KH, KW, C] and what follows the sums, by a window whose kernel is w's: [B, H, W, C] of its places as `dtype`.
pub fn channelwise(rec: &mut Recorder, x: &Tensor, w: &Tensor, window: &Window, finish: Finish, dtype: DType) -> Result<Tensor> {
    let device = rec.device().clone();
    let fits = |family| family == Family::Tiled || family == Family::Sg && is_even(window);
    let family = device.family("channelwise", fits, |family| if family == Family::Sg { test(&device) } else { Ok(()) });
    run(rec, family, [x, w], window, finish, dtype)
}

/// Whether [`CHANNELWISE_SG`] knows a window.
fn is_even(window: &Window) -> bool {
    let [size, stride] = [window.kernel, window.stride].map(|pair| (pair[0] == pair[1]).then_some(pair[0] as u32));
    size.is_some_and(|size| SIZES.contains(&size)) && matches!(stride, Some(1 | 2))
}

fn run(rec: &mut Recorder, family: Family, [x, w]: [&Tensor; 2], window: &Window, finish: Finish, dtype: DType) -> Result<Tensor> {
    let dims = Dims::new().check("x", x, &["B", "H", "W", "C"])?.check("w", w, &["KH", "KW", "C"])?;
    window.check([dims.get("H"), dims.get("W")])?;
    if window.kernel != [dims.get("KH"), dims.get("KW")] {
        return Err(Error::Input(format!("w: shape {:?} for {window:?}", w.shape())));
    }
    let [out_h, out_w] = window.places;
    let out = rec.alloc(&[dims.get("B"), out_h, out_w, dims.get("C")], super::operand_dtype(dtype, x.cols()))?;
    finish.check(&out)?;
    let (stride, act) = (window.stride[1], ("ACT", finish.function()));
    let (kernel, constants, rows, pixels) = match family {
        Family::Sg => {
            let pixels = if stride == 1 { pixels(out_w) } else { 4 };
            let constants = vec![("PIXELS", pixels as u32), ("K", window.kernel[0] as u32), ("STRIDE", stride as u32), act];
            // As many for each lane.
            (&CHANNELWISE_SG, constants, out_h.div_ceil(out_h.div_ceil(ROWS)), pixels)
        }
        _ => (&CHANNELWISE, vec![("PIXELS", pixels(out_w) as u32), ("SLIDE", u32::from(stride == 1)), act], 1, pixels(out_w)),
    };
    let lanes = dims.get("B") * out_h.div_ceil(rows) * out_w.div_ceil(pixels) * dims.get("C").div_ceil(4);
    let params = WindowParams { count: lanes as u32, last: finish.last(), rows: rows as u32, ..window.params(x) };
    let [bias, residual, slope] = finish.args();
    let args = [Arg::rows(x), Arg::rows(w), bias, residual, slope, Arg::rows(&out)];
    let cost = Cost::of((2 * out.len() * window.kernel[0] * window.kernel[1]) as f64, &args);
    rec.dispatch(kernel, &constants, &params, &args, lanes.div_ceil(kernel.workgroup as usize), cost)?;
    Ok(out)
}

/// Windows of 3x3 over an image with edges all around, exact in f32, against the formula on the host.
fn test(device: &Device) -> Result<()> {
    const SIZE: [usize; 2] = [18, 9];
    const CHANNELS: usize = 12;
    let number = |i: usize, seed: usize| ((i * seed) % 31) as f32 / 8.0 - 2.0;
    let values = |count: usize, seed| (0..count).map(|i| number(i, seed)).collect::<Vec<_>>();
    let (image, weights) = (values(SIZE[0] * SIZE[1] * CHANNELS, 37), values(9 * CHANNELS, 41));
    let pixel = |y: usize, x: usize, channel: usize| match (y, x) {
        (1.., 1..) if y <= SIZE[0] && x <= SIZE[1] => image[((y - 1) * SIZE[1] + x - 1) * CHANNELS + channel],
        _ => 0.0,
    };
    let exact = |i: usize| -> f32 {
        let (y, x, channel) = (i / (CHANNELS * SIZE[1]), i / CHANNELS % SIZE[1], i % CHANNELS);
        (0..9).map(|tap| weights[tap * CHANNELS + channel] * pixel(y + tap / 3, x + tap % 3, channel)).sum()
    };
    let mut rec = Recorder::new(device, crate::Cancel::new());
    let (x, w) = (rec.upload(&[1, SIZE[0], SIZE[1], CHANNELS], &image)?, rec.upload(&[3, 3, CHANNELS], &weights)?);
    let window = Window { kernel: [3; 2], stride: [1; 2], pad: [(1, 1); 2], places: SIZE };
    let out = run(&mut rec, Family::Sg, [&x, &w], &window, Finish::default(), DType::F32)?;
    family::agree(&rec.download(&out)?, &(0..image.len()).map(exact).collect::<Vec<_>>(), 1e-2)
}
