//! Convolutions in registers alone, for any device and any number of channels.

use crate::error::Result;
use crate::gpu::{Kernel, Recorder, kernel::READ};
use crate::ops::conv::call::{Call, Params, slots};
use crate::ops::finish::ALL_ACTIVATIONS;

pub static CONV_REG: Kernel = Kernel {
    slots: &slots(READ),
    variants: &[
        &[("TM", &[8]), ("TN", &[8]), ("WN", &[1, 2, 4, 8]), ("PAST", &[0, 1]), ("ACT", ALL_ACTIVATIONS)],
        &[("TM", &[8]), ("TN", &[4]), ("WN", &[1]), ("PAST", &[0, 1]), ("ACT", ALL_ACTIVATIONS)],
    ],
    ..Kernel::of("conv_reg", include_str!("../../../wgsl/conv_reg.wgsl"), size_of::<Params>())
};

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    // Channels of a lane, and lanes of channels across a workgroup.
    let tn = if call.weight.out_channels() <= 4 { 4 } else { 8 };
    let wn = (call.weight.out_channels() as u32).div_ceil(tn).next_power_of_two().min(8);
    call.dispatch(rec, &CONV_REG, &[("TM", 8), ("TN", tn), ("WN", wn), call.past()], [CONV_REG.workgroup / wn * 8, wn * tn])
}
