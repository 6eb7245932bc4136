//! Tensors as a kernel's arguments.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{cost::Cost, kernel::Kernel, pipeline::Element, tensor::Tensor};

/// A tensor for a slot, with the element format chosen.
#[derive(Clone, Copy, Debug)]
pub struct Arg<'a> {
    pub(crate) tensor: Option<&'a Tensor>,
    pub(crate) element: Element,
}

impl<'a> Arg<'a> {
    /// No tensor.
    pub const ABSENT: Arg<'static> = Arg { tensor: None, element: Element::Absent };

    /// Read or written row by row: in vec4s if the last axis is a multiple of four.
    pub fn rows(tensor: &'a Tensor) -> Self {
        Self::aligned(tensor, tensor.cols().is_multiple_of(4))
    }

    /// Read or written as one long row.
    pub fn flat(tensor: &'a Tensor) -> Self {
        Self::aligned(tensor, true)
    }

    /// Read one element at a time.
    pub fn scalar(tensor: &'a Tensor) -> Self {
        Self::aligned(tensor, false)
    }

    /// Words to be read as u32.
    pub fn index(tensor: &'a Tensor) -> Self {
        Self { tensor: Some(tensor), element: Element::U32 }
    }

    /// f16 in vec4s, for kernels that need f16 anyway.
    pub fn native_f16(tensor: &'a Tensor) -> Self {
        let vec4s = tensor.dtype() == DType::F16 && tensor.cols().is_multiple_of(4);
        Self { tensor: Some(tensor), element: if vec4s { Element::NativeF16x4 } else { Element::Odd16 } }
    }

    /// Words in vec4s, whatever the tensor's type.
    pub fn words(tensor: &'a Tensor) -> Self {
        Self { tensor: Some(tensor), element: Element::U32x4 }
    }

    /// The tensor, where the kernel has a binding for it.
    pub(super) fn bound(&self) -> Option<&'a Tensor> {
        self.tensor.filter(|_| self.element != Element::Absent)
    }

    /// In vec4s if `vec4s` says that all accesses are aligned so.
    pub fn aligned(tensor: &'a Tensor, vec4s: bool) -> Self {
        let element = match (tensor.dtype(), vec4s) {
            (DType::F32, true) => Element::F32x4,
            (DType::F32, false) => Element::F32,
            (DType::F16, true) => Element::F16x4,
            (DType::Bf16, true) => Element::Bf16x4,
            (DType::F16 | DType::Bf16, false) => Element::Odd16,
        };
        Self { tensor: Some(tensor), element }
    }

    /// [`Arg::rows`] of a tensor that may be left out.
    pub fn optional_rows(tensor: Option<&'a Tensor>) -> Self {
        tensor.map_or(Self::ABSENT, Self::rows)
    }
}

impl Cost {
    /// So many operations on all elements of `args`.
    pub fn of(flops: f64, args: &[Arg]) -> Self {
        Self { flops, bytes: args.iter().filter_map(Arg::bound).map(|tensor| tensor.len() as f64 * tensor.dtype().bytes() as f64).sum() }
    }
}

/// Whether every slot takes its element format.
pub(super) fn check(kernel: &Kernel, args: &[Arg]) -> Result<()> {
    match kernel.slots.iter().zip(args).find(|(slot, arg)| !slot.elements.contains(&arg.element)) {
        None => Ok(()),
        Some((slot, arg)) => {
            let tensor = arg.tensor.map(|tensor| format!("a tensor of {} and shape {:?}", tensor.dtype(), tensor.shape()));
            let tensor = tensor.unwrap_or_else(|| "no tensor".into());
            Err(Error::Unsupported(format!("`{}` of the kernel `{}` cannot be {tensor}", slot.name, kernel.name)))
        }
    }
}
