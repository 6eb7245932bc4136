//! One generated picture that stays on the GPU.

use std::sync::Arc;

use crate::gpu::memory::Reserved;

/// A finished frame as a texture of the device that made it: `Rgba8Unorm`, opaque, with the very bytes of
/// [`Frame::to_rgba8`](crate::video::Frame::to_rgba8), which are gamma-encoded as those of image files are. Clones share the texture.
///
/// It was submitted to the queue before it was given away, so whatever the application submits from then on finds it finished; nobody needs to
/// wait. It may be sampled, drawn on and copied from ([`TEXTURE_BINDING`](wgpu::TextureUsages::TEXTURE_BINDING),
/// [`RENDER_ATTACHMENT`](wgpu::TextureUsages::RENDER_ATTACHMENT), [`COPY_SRC`](wgpu::TextureUsages::COPY_SRC)).
#[derive(Clone, Debug)]
pub struct GpuFrame {
    size: [u32; 2],
    /// None on a [dry](crate::Device::dry) device, which gives no frames away.
    texture: Option<wgpu::Texture>,
    _memory: Arc<Reserved>,
}

impl GpuFrame {
    pub(super) fn new(size: [u32; 2], texture: Option<wgpu::Texture>, memory: Reserved) -> Self {
        Self { size, texture, _memory: Arc::new(memory) }
    }

    /// The texture. What it takes counts as the crate's [memory](crate::Device::memory_use) until the last clone of the frame is dropped.
    pub fn texture(&self) -> &wgpu::Texture {
        self.texture.as_ref().expect("a dry device gives no frames away")
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.size[0]
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.size[1]
    }
}
