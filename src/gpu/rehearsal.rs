//! What a dry device was asked to do: the sums and the extremes, each held against the device's limits as it comes.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::gpu::{command::Dispatch, cost::Cost, pipeline::Element, pipeline::PipelineKey};

/// See the module. Made by [`Device::dry`](crate::Device::dry).
#[derive(Debug, Default)]
pub struct Rehearsal(Mutex<Notes>);

#[derive(Debug, Default)]
struct Notes {
    largest_buffer: Largest,
    largest_dispatch: Largest,
    smallest_tile: Option<u32>,
    host: u64,
    driving: u64,
    cost: Cost,
    work: f64,
    dispatches: u64,
    kernels: HashSet<PipelineKey>,
}

/// The largest of several, and what it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Largest {
    /// The label of a buffer or the name of a kernel.
    pub name: String,
    /// Bytes of a buffer, workgroups of a dispatch.
    pub size: u64,
}

/// A kernel, the element formats of its slots, and its constants: what [`Kernel::compose`](crate::gpu::Kernel::compose) takes.
pub type Variant = (&'static str, Vec<Element>, Vec<(&'static str, u32)>);

impl Largest {
    fn offer(&mut self, name: &str, size: u64) {
        if size > self.size {
            *self = Self { name: name.into(), size };
        }
    }
}

impl Rehearsal {
    /// The largest buffer there was.
    pub fn largest_buffer(&self) -> Largest {
        self.notes().largest_buffer.clone()
    }

    /// The dispatch of the most workgroups. Run for real, it may be cut into several by time.
    pub fn largest_dispatch(&self) -> Largest {
        self.notes().largest_dispatch.clone()
    }

    /// Pixels on a side of the smallest tile that was noted.
    pub(crate) fn smallest_tile(&self) -> Option<u32> {
        self.notes().smallest_tile
    }

    /// The most bytes on the host that were noted.
    pub(crate) fn host(&self) -> u64 {
        self.notes().host
    }

    /// The most bytes of a driving video on the host that were noted.
    pub(crate) fn driving(&self) -> u64 {
        self.notes().driving
    }

    pub(crate) fn reset(&self) {
        *self.notes() = Notes::default();
    }

    /// What all dispatches so far cost.
    pub fn cost(&self) -> Cost {
        self.notes().cost
    }

    /// [`Cost::work`] of each of them.
    pub fn work(&self) -> f64 {
        self.notes().work
    }

    /// Dispatches so far.
    pub fn dispatches(&self) -> u64 {
        self.notes().dispatches
    }

    /// The kernels that ran.
    pub fn kernels(&self) -> Vec<Variant> {
        self.notes().kernels.iter().map(|key| (key.kernel, key.elements.clone(), key.constants.clone())).collect()
    }

    pub(crate) fn note_tile(&self, pixels: u32) {
        let mut notes = self.notes();
        notes.smallest_tile = Some(notes.smallest_tile.map_or(pixels, |smallest| smallest.min(pixels)));
    }

    /// Notes bytes of frames on the host.
    pub(crate) fn note_host(&self, bytes: u64) {
        let mut notes = self.notes();
        notes.host = notes.host.max(bytes);
    }

    /// Notes bytes of a driving video on the host.
    pub(crate) fn note_driving(&self, bytes: u64) {
        let mut notes = self.notes();
        notes.driving = notes.driving.max(bytes);
    }

    pub(super) fn note_buffer(&self, label: &str, bytes: u64) {
        self.notes().largest_buffer.offer(label, bytes);
    }

    /// Notes a dispatch.
    ///
    /// # Errors
    /// [`Error::Limits`] where the device's limits do not allow it.
    pub(super) fn dispatch(&self, limits: &wgpu::Limits, dispatch: &Dispatch) -> Result<()> {
        let Dispatch { kernel, key, buffers, groups, cost, .. } = dispatch;
        let refuse = |what: &str, needed: u64, allowed: u64| match needed > allowed {
            true => Err(Error::limits(format!("the kernel `{}` needs {needed} {what}, the adapter allows {allowed}", kernel.name))),
            false => Ok(()),
        };
        refuse("storage buffers", buffers.len() as u64, limits.max_storage_buffers_per_shader_stage.into())?;
        for buffer in buffers {
            refuse("bytes in one binding", buffer.bytes, limits.max_storage_buffer_binding_size)?;
        }
        let lanes = key.constants.iter().find(|(name, _)| *name == "WG").map_or(kernel.workgroup, |&(_, lanes)| lanes);
        let most = limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x);
        refuse("lanes in a workgroup", lanes.into(), most.into())?;
        let across = limits.max_compute_workgroups_per_dimension;
        refuse("workgroups", u64::from(*groups), u64::from(across) * u64::from(across))?;
        let mut notes = self.notes();
        notes.largest_dispatch.offer(kernel.name, u64::from(*groups));
        notes.cost.flops += cost.flops;
        notes.cost.bytes += cost.bytes;
        notes.work += cost.work();
        notes.dispatches += 1;
        if !notes.kernels.contains(key) {
            notes.kernels.insert(key.clone());
        }
        Ok(())
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
