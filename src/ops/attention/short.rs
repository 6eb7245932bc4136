//! Attention to so few keys that a lane can hold all their scores, such as a frame's face tokens.

use crate::error::Result;
use crate::gpu::{Kernel, Recorder, Slot, kernel::READ, kernel::WRITE};
use crate::ops::attention::call::{Call, Params};

pub static ATTENTION_SHORT: Kernel = Kernel {
    slots: &[Slot::read("q", READ), Slot::read("k", READ), Slot::read("v", READ), Slot::write("out", WRITE)],
    variants: &[&[("KEYS", &[KEYS as u32])]],
    ..Kernel::of("attention_short", include_str!("../../../wgsl/attention_short.wgsl"), size_of::<Params>())
};

pub(super) const KEYS: usize = 8;

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    let count = call.q.rows() * call.how.heads;
    // `tiles` is the number of lanes that have work.
    let params = call.params(count);
    let [q, k, v, _, _, out] = call.args();
    let args = [q, k, v, out];
    rec.dispatch(&ATTENTION_SHORT, &[("KEYS", KEYS as u32)], &params, &args, count.div_ceil(64), call.cost(&args))
}
