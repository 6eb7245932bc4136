//! What ops record: the API of tensors and kernels over an engine.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::cancel::Cancel;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::arena::{Allocation, Arena, bytes_of};
use crate::gpu::arg::{self, Arg};
use crate::gpu::command::{Copy, Dispatch, ParamBytes};
use crate::gpu::cost::Cost;
use crate::gpu::engine::{Engine, Probe, dry::DryEngine, live::LiveEngine};
use crate::gpu::{
    device::Device, download::Download, gpu_frame::GpuFrame, kernel::Kernel, memory::Holds, memory::Reserved, pipeline::PipelineKey,
    tensor::Tensor,
};

/// What a [`Probe`] fills tensors with: NaN as f32, f16 and bf16.
pub const POISON: u32 = 0x7fff_7fff;
/// Bytes of [`POISON`] after each tensor, where a [`Probe`] asks for them.
pub const GUARD_BYTES: u64 = 256;

/// Makes the bytes of a weight.
pub type Read<'a> = dyn Fn() -> Result<Cow<'a, [u8]>> + 'a;

/// Records work for one device. Tensors that it makes may be used with this recorder alone; weights with any.
#[derive(Debug)]
pub struct Recorder {
    device: Device,
    engine: Box<dyn Engine>,
    arena: Arc<Arena>,
    /// For weights that come and go. Not for activations, so that the slot that one layer leaves is there for the next.
    slots: Arc<Arena>,
    guards: bool,
}

impl Recorder {
    /// A recorder that stops with [`Error::Cancelled`] when `cancel` is set.
    pub fn new(device: &Device, cancel: Cancel) -> Self {
        let engine: Box<dyn Engine> = match device.rehearsal() {
            Some(_) => Box::new(DryEngine::new(device, cancel)),
            None => Box::new(LiveEngine::new(device, cancel)),
        };
        Self {
            device: device.clone(),
            engine,
            arena: Arena::new(device, Holds::Activations),
            slots: Arena::new(device, Holds::Weights),
            guards: false,
        }
    }

    /// The recorder under test conditions.
    pub fn with_probe(mut self, probe: Probe) -> Self {
        self.guards = probe.guards;
        self.engine.set_probe(probe);
        self
    }

    /// How long each submission took that has ended, where a [`Probe`] asks for it.
    pub fn submissions(&self) -> &[Duration] {
        self.engine.submissions()
    }

    /// Says what is going on to a device's [profile](Device::profile), where it has one.
    pub fn set_stage(&mut self, stage: &'static str) {
        self.engine.set_stage(stage);
    }

    /// How long the GPU will be busy with what was submitted, as far as that is known.
    pub fn backlog(&self) -> Duration {
        self.engine.backlog()
    }

    /// Says that nothing may be recorded for a while: how long that is says nothing of the device's speed.
    pub fn pause(&mut self) {
        self.engine.pause();
    }

    /// The device that the work goes to.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Gives all free buffers back to the driver.
    pub fn trim(&self) {
        self.arena.trim();
        self.slots.trim();
    }

    /// A tensor whose contents are yet to be written.
    pub fn alloc(&mut self, shape: &[usize], dtype: DType) -> Result<Tensor> {
        let (arena, bytes) = (self.arena.clone(), bytes_of(shape, dtype)?);
        if !self.guards {
            return Ok(Tensor::new(self.take(&arena, "activation", bytes)?, shape, dtype));
        }
        let tensor = Tensor::new(self.take(&arena, "guarded activation", bytes + GUARD_BYTES)?, shape, dtype);
        if self.engine.holds_data() {
            let poison = vec![POISON; tensor.buffer_bytes() as usize / 4];
            self.engine.write(&tensor.buffer_ref(), bytemuck::cast_slice(&poison))?;
        }
        Ok(tensor)
    }

    /// Memory of an arena. Where there is none left, once more without free buffers of other sizes, which the driver takes back
    /// only when the commands that used them have run.
    fn take(&mut self, arena: &Arc<Arena>, label: &str, bytes: u64) -> Result<Allocation> {
        match arena.take(label, bytes) {
            Err(Error::Limits { .. }) => {}
            done => return done,
        }
        self.finish()?;
        self.trim();
        arena.take(label, bytes)
    }

    /// Weights in a slot that others have left: copied in the order of recording, so after the commands that still read those.
    pub(super) fn stream(&mut self, label: &str, shape: &[usize], dtype: DType, size: u64, read: &Read) -> Result<Tensor> {
        let slots = self.slots.clone();
        let tensor = Tensor::new(self.take(&slots, label, size)?, shape, dtype);
        if self.engine.holds_data() {
            self.engine.stream(&tensor.buffer_ref(), &read()?)?;
        }
        Ok(tensor)
    }

    /// Copies values from the host into a new f32 tensor.
    pub fn upload(&mut self, shape: &[usize], values: &[f32]) -> Result<Tensor> {
        let tensor = self.alloc(shape, DType::F32)?;
        check_count(shape, values)?;
        self.engine.write(&tensor.buffer_ref(), bytemuck::cast_slice(values))?;
        Ok(tensor)
    }

    /// [`Recorder::upload`] of values that are expensive to make: a dry device does not ask for them.
    pub fn upload_with(&mut self, shape: &[usize], values: impl FnOnce() -> Result<Vec<f32>>) -> Result<Tensor> {
        self.upload_words(shape, values)
    }

    /// Copies indices from the host into a new tensor for [`Arg::index`].
    pub fn upload_indices(&mut self, values: &[u32]) -> Result<Tensor> {
        self.upload_words(&[values.len()], || Ok(values.to_vec()))
    }

    /// Words of four bytes, for [`Arg::index`] or any other way to read them.
    pub fn upload_words<T: bytemuck::Pod>(&mut self, shape: &[usize], words: impl FnOnce() -> Result<Vec<T>>) -> Result<Tensor> {
        let tensor = self.alloc(shape, DType::F32)?;
        if self.engine.holds_data() {
            let words = words()?;
            check_count(shape, &words)?;
            self.engine.write(&tensor.buffer_ref(), bytemuck::cast_slice(&words))?;
        }
        Ok(tensor)
    }

    /// What [`download_buffer`](Self::download_buffer) gave of a tensor, as a new tensor like that; nothing on a dry device.
    pub fn upload_bytes(&mut self, shape: &[usize], dtype: DType, bytes: Option<&[u8]>) -> Result<Tensor> {
        let tensor = self.alloc(shape, dtype)?;
        if let Some(bytes) = bytes {
            let size = usize::try_from(tensor.buffer_bytes()).unwrap_or(usize::MAX).min(bytes.len());
            self.engine.write(&tensor.buffer_ref(), &bytes[..size])?;
        }
        Ok(tensor)
    }

    /// A new tensor of zeros.
    pub fn zeros(&mut self, shape: &[usize]) -> Result<Tensor> {
        self.upload_with(shape, || Ok(vec![0.0; shape.iter().product()]))
    }

    /// Waits for all recorded work and copies an f32 tensor to the host.
    pub fn download(&mut self, tensor: &Tensor) -> Result<Vec<f32>> {
        let values = self.download_later(tensor)?;
        self.finish()?;
        values.wait()
    }

    /// Copies an f32 tensor to the host as soon as what was recorded so far has run, and does not wait for it.
    pub fn download_later(&mut self, tensor: &Tensor) -> Result<Download> {
        self.read(tensor, 0, tensor.len())
    }

    /// [`Recorder::download`], each entry of the first axis by itself: what is on its way is no more than one of them.
    pub fn download_each(&mut self, tensor: &Tensor) -> Result<Vec<Vec<f32>>> {
        (0..tensor.shape().first().copied().unwrap_or(1)).map(|entry| self.download_entry(tensor, entry)).collect()
    }

    /// [`Recorder::download`] of one entry of the first axis.
    pub fn download_entry(&mut self, tensor: &Tensor, entry: usize) -> Result<Vec<f32>> {
        let length = tensor.len() / tensor.shape().first().copied().unwrap_or(1).max(1);
        let values = self.read(tensor, entry * length, length)?;
        self.finish()?;
        values.wait()
    }

    /// Waits for all recorded work and copies one word to the host.
    pub fn download_word(&mut self, tensor: &Tensor) -> Result<u32> {
        let word = self.engine.read(&tensor.buffer_ref(), 0..4)?;
        self.finish()?;
        Ok(word.wait::<u32>()?[0])
    }

    fn read(&mut self, tensor: &Tensor, first: usize, count: usize) -> Result<Download> {
        if tensor.dtype() != DType::F32 {
            return Err(Error::Unsupported(format!("reading back a tensor of {}; cast it to f32 first", tensor.dtype())));
        }
        self.engine.read(&tensor.buffer_ref(), first as u64 * 4..(first + count) as u64 * 4)
    }

    /// Waits for all recorded work and copies a tensor's whole buffer to the host: its data and what lies behind them.
    pub fn download_buffer(&mut self, tensor: &Tensor) -> Result<Vec<u8>> {
        let bytes = self.engine.read(&tensor.buffer_ref(), 0..tensor.buffer_bytes())?;
        self.finish()?;
        bytes.wait()
    }

    /// Entry `index` of words [F, H, S], of which the first `width` in a row are RGBA pixels, as a frame of its own. It is there for others once
    /// it was [flushed](Self::flush).
    pub fn frame(&mut self, words: &Tensor, index: usize, width: usize) -> Result<GpuFrame> {
        let &[_, height, stride] = words.shape() else {
            return Err(Error::Input(format!("pixels: shape {:?}, expected [F, H, S]", words.shape())));
        };
        let most = self.device.limits().max_texture_dimension_2d as usize;
        if width.max(height) > most {
            let message =
                format!("a texture of {width}x{height} pixels; this device allows {most} on a side: take frames without `textures`");
            return Err(Error::limits(message));
        }
        let memory = Reserved::new(self.device.accounting(), 4 * (width * height) as u64, Holds::Activations)?;
        let (size, from) = ([width as u32, height as u32], 4 * (index * height * stride) as u64);
        let texture = self.engine.texture(&words.buffer_ref(), from, size, 4 * stride as u32)?;
        Ok(GpuFrame::new(size, texture, memory))
    }

    /// Copies `count` elements of `source` from element `from` on to element `to` of `target`, both of the same type.
    pub fn copy(&mut self, source: &Tensor, from: usize, target: &Tensor, to: usize, count: usize) -> Result<()> {
        debug_assert_eq!(source.dtype(), target.dtype());
        let [from, to, bytes] = [from, to, count].map(|elements| elements as u64 * source.dtype().bytes());
        if [from, to, bytes].iter().any(|bytes| bytes % 4 != 0) {
            return Err(Error::Unsupported(format!("a copy of {bytes} bytes from {from} to {to}: all must be multiples of four")));
        }
        self.engine.copy(Copy { source: source.buffer_ref(), from, target: target.buffer_ref(), to, bytes })
    }

    /// Records `groups` workgroups of a kernel, which cost `cost` together.
    pub fn dispatch<P: bytemuck::Pod>(
        &mut self,
        kernel: &'static Kernel,
        constants: &[(&'static str, u32)],
        params: &P,
        args: &[Arg],
        groups: usize,
        cost: Cost,
    ) -> Result<()> {
        debug_assert_eq!(kernel.slots.len(), args.len(), "{}", kernel.name);
        debug_assert_eq!(size_of::<P>(), kernel.params_bytes, "{}", kernel.name);
        debug_assert!(kernel.has_variant(constants), "`{}` declares no variant {constants:?}", kernel.name);
        debug_assert!(args.iter().all(|arg| arg.tensor.is_none_or(|tensor| self.may_use(tensor))), "a tensor of another recorder");
        arg::check(kernel, args)?;
        let elements = args.iter().map(|arg| arg.element).collect();
        self.engine.dispatch(Dispatch {
            kernel,
            key: PipelineKey { kernel: kernel.name, elements, constants: constants.to_vec() },
            params: ParamBytes::new(bytemuck::bytes_of(params)),
            buffers: args.iter().filter_map(Arg::bound).map(Tensor::buffer_ref).collect(),
            groups: u32::try_from(groups).map_err(|_| Error::limits(format!("`{}` needs {groups} workgroups", kernel.name)))?,
            cost,
        })
    }

    /// Whether a tensor is this recorder's own or a weight, whose memory nobody gives out again.
    fn may_use(&self, tensor: &Tensor) -> bool {
        tensor.home().is_none_or(|home| Arc::ptr_eq(&home, &self.arena) || Arc::ptr_eq(&home, &self.slots))
    }

    /// Submits what is recorded, and waits until few submissions are under way.
    ///
    /// # Errors
    /// [`Error::Cancelled`] where the flag was set: what is recorded is then dropped.
    pub fn flush(&mut self) -> Result<()> {
        self.engine.flush()
    }

    /// Submits what is recorded and waits for all of it.
    pub fn finish(&mut self) -> Result<()> {
        self.engine.finish()
    }
}

fn check_count<T>(shape: &[usize], values: &[T]) -> Result<()> {
    let count: usize = shape.iter().product();
    match size_of_val(values) == 4 * count {
        true => Ok(()),
        false => Err(Error::Input(format!("a tensor of shape {shape:?} has {count} values, {} were given", values.len()))),
    }
}
