//! Windows that slide over images of up to three axes.

use std::ops::Range;

use crate::onnx::call::Call;
use crate::onnx::fault::{Fault, unsupported, wrong};
use crate::onnx::node::Node;

/// The most that an extent, a stride or a padding may be: their sums and products do not overflow.
const MAX_EXTENT: i64 = 1 << 30;

/// How a window slides along one axis.
#[derive(Clone, Copy, Debug)]
pub(in crate::onnx) struct Slide {
    pub(in crate::onnx) image: usize,
    pub(in crate::onnx) kernel: usize,
    pub(in crate::onnx) stride: usize,
    pub(in crate::onnx) dilation: usize,
    /// Padding before and after the image.
    pub(in crate::onnx) pads: [usize; 2],
    /// How many places the window has.
    pub(in crate::onnx) places: usize,
}

impl Slide {
    const FLAT: Self = Self { image: 1, kernel: 1, stride: 1, dilation: 1, pads: [0, 0], places: 1 };

    /// From its first element to its last.
    fn reach(&self) -> usize {
        (self.kernel - 1) * self.dilation + 1
    }

    /// Where in the image an element of the window lies, or `None` in the padding.
    pub(in crate::onnx) fn at(&self, place: usize, element: usize) -> Option<usize> {
        (place * self.stride + element * self.dilation).checked_sub(self.pads[0]).filter(|&at| at < self.image)
    }

    /// The elements of the image that the window covers.
    pub(in crate::onnx) fn covered(&self, place: usize) -> impl Iterator<Item = usize> {
        let begin = place * self.stride;
        let first = self.pads[0].saturating_sub(begin).div_ceil(self.dilation);
        let end = (self.pads[0] + self.image).saturating_sub(begin).div_ceil(self.dilation).min(self.kernel);
        (first..end).map(move |element| begin + element * self.dilation - self.pads[0])
    }

    /// How many of the window's elements are before the end of the image with its padding.
    pub(in crate::onnx) fn within_pads(&self, place: usize) -> usize {
        let room = (self.pads[0] + self.image + self.pads[1]).saturating_sub(place * self.stride);
        room.div_ceil(self.dilation).min(self.kernel)
    }

    /// The places at which an element of the window is in the image.
    pub(in crate::onnx) fn inside(&self, element: usize) -> Range<usize> {
        let shift = element * self.dilation;
        let begin = self.pads[0].saturating_sub(shift).div_ceil(self.stride).min(self.places);
        let end = (self.image + self.pads[0]).saturating_sub(shift).div_ceil(self.stride).min(self.places);
        begin..end.max(begin)
    }
}

/// How a window slides over an image; axes that it has not are of one element.
#[derive(Clone, Copy, Debug)]
pub(in crate::onnx) struct Window {
    pub(in crate::onnx) axes: [Slide; 3],
    /// How many axes there are.
    rank: usize,
}

/// What attributes say of a window.
struct Settings {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    pads: Vec<usize>,
    auto_pad: AutoPad,
}

#[derive(Clone, Copy, PartialEq)]
enum AutoPad {
    Not,
    Valid,
    Upper,
    Lower,
}

impl AutoPad {
    fn of(node: &Node) -> Result<Self, Fault> {
        match node.text_or("auto_pad", "NOTSET")? {
            "NOTSET" | "" => Ok(Self::Not),
            "VALID" => Ok(Self::Valid),
            "SAME_UPPER" => Ok(Self::Upper),
            "SAME_LOWER" => Ok(Self::Lower),
            other => wrong(format!("there is no auto_pad `{other}`")),
        }
    }

    /// A padding's two parts.
    fn split(self, total: usize) -> [usize; 2] {
        let half = total / 2;
        if self == Self::Upper { [half, total - half] } else { [total - half, half] }
    }
}

fn extents(node: &Node, name: &str, least: i64, count: usize) -> Result<Vec<usize>, Fault> {
    let Some(ints) = node.ints(name)? else { return Ok(vec![least as usize; count]) };
    if ints.len() != count || ints.iter().any(|int| !(least..=MAX_EXTENT).contains(int)) {
        return wrong(format!("its {name} are {ints:?}: {count} numbers from {least} up were expected"));
    }
    Ok(ints.iter().map(|&int| int as usize).collect())
}

impl Settings {
    /// `kernel` is that of the weights, where there are any.
    fn of(call: &Call, image: &[usize], kernel: Option<&[usize]>) -> Result<Self, Fault> {
        let (node, rank) = (call.node, image.len());
        if !(1..=3).contains(&rank) {
            return unsupported(format!("its images have {rank} axes; 1 to 3 are supported"));
        }
        if image.iter().any(|&extent| extent as i64 > MAX_EXTENT) {
            return unsupported("its images are too large");
        }
        let stated = extents(node, "kernel_shape", 1, rank)?;
        let kernel = match kernel {
            Some(kernel) if node.has("kernel_shape") && stated != kernel => {
                return wrong(format!("its kernel_shape is {stated:?}, its weights' {kernel:?}"));
            }
            Some(kernel) if kernel.len() != rank || kernel.contains(&0) => return wrong("its weights do not fit its images"),
            Some(kernel) => kernel.to_vec(),
            None if node.has("kernel_shape") => stated,
            None => return wrong("it has no kernel_shape"),
        };
        let (strides, dilations) = (extents(node, "strides", 1, rank)?, extents(node, "dilations", 1, rank)?);
        let pads = extents(node, "pads", 0, 2 * rank)?;
        Ok(Self { kernel, strides, dilations, pads, auto_pad: AutoPad::of(node)? })
    }

    fn slide(&self, axis: usize, image: usize) -> Slide {
        let pads = [self.pads[axis], self.pads[axis + self.kernel.len()]];
        let pads = if self.auto_pad == AutoPad::Not { pads } else { [0, 0] };
        Slide { image, kernel: self.kernel[axis], stride: self.strides[axis], dilation: self.dilations[axis], pads, places: 0 }
    }

    fn is_same(&self) -> bool {
        matches!(self.auto_pad, AutoPad::Upper | AutoPad::Lower)
    }
}

impl Window {
    /// The window of a convolution or a pool over images of these extents.
    pub(in crate::onnx) fn of(call: &Call, image: &[usize], kernel: Option<&[usize]>, ceil: bool) -> Result<Self, Fault> {
        let settings = Settings::of(call, image, kernel)?;
        Self::build(image.len(), |axis| {
            let mut slide = settings.slide(axis, image[axis]);
            if settings.is_same() {
                slide.places = slide.image.div_ceil(slide.stride);
                let reach = slide.places.saturating_sub(1) * slide.stride + slide.reach();
                slide.pads = settings.auto_pad.split(reach.saturating_sub(slide.image));
                return Ok(slide);
            }
            let Some(room) = (slide.image + slide.pads[0] + slide.pads[1]).checked_sub(slide.reach()) else {
                return wrong(format!("its window of {} is larger than its image of {}", slide.reach(), slide.image));
            };
            slide.places = if ceil { room.div_ceil(slide.stride) } else { room / slide.stride } + 1;
            // A window has to begin in the image or before it.
            if ceil && (slide.places - 1) * slide.stride >= slide.image + slide.pads[0] {
                slide.places -= 1;
            }
            Ok(slide)
        })
    }

    /// The window of the convolution that a transposed one is the transpose of: it slides over the larger image, and its places
    /// are the elements of the smaller one.
    pub(in crate::onnx) fn transposed(call: &Call, places: &[usize], kernel: &[usize]) -> Result<Self, Fault> {
        let settings = Settings::of(call, places, Some(kernel))?;
        let rank = places.len();
        let extra = extents(call.node, "output_padding", 0, rank)?;
        let wanted = call.node.ints("output_shape")?;
        if wanted.is_some_and(|wanted| wanted.len() != rank || wanted.iter().any(|extent| !(0..=MAX_EXTENT).contains(extent))) {
            return wrong(format!("its output_shape {wanted:?} does not fit images of {rank} axes"));
        }
        Self::build(rank, |axis| {
            let mut slide = settings.slide(axis, 0);
            slide.places = places[axis];
            let whole = places[axis].saturating_sub(1) * slide.stride + slide.reach() + extra[axis];
            let same = settings.is_same().then_some(places[axis] * slide.stride);
            if let Some(image) = wanted.map(|wanted| wanted[axis] as usize).or(same) {
                slide.image = image;
                slide.pads = settings.auto_pad.split(whole.saturating_sub(image));
                return Ok(slide);
            }
            match whole.checked_sub(slide.pads[0] + slide.pads[1]) {
                Some(image) => slide.image = image,
                None => return wrong("its padding is larger than its result"),
            }
            Ok(slide)
        })
    }

    /// The window that is the whole image.
    pub(in crate::onnx) fn whole(image: &[usize]) -> Self {
        let all: usize = image.iter().product();
        let slide = Slide { image: all, kernel: all, ..Slide::FLAT };
        Self { axes: [Slide::FLAT, Slide::FLAT, slide], rank: 1 }
    }

    /// A window over pictures.
    #[cfg(test)]
    pub(super) fn of_two(y: Slide, x: Slide) -> Self {
        Self { axes: [Slide::FLAT, y, x], rank: 2 }
    }

    fn build(rank: usize, slide: impl Fn(usize) -> Result<Slide, Fault>) -> Result<Self, Fault> {
        let mut axes = [Slide::FLAT; 3];
        for axis in 0..rank {
            axes[3 - rank + axis] = slide(axis)?;
        }
        Ok(Self { axes, rank })
    }

    /// The extents of what a window's places make.
    pub(in crate::onnx) fn places(&self) -> Vec<usize> {
        self.axes[3 - self.rank..].iter().map(|slide| slide.places).collect()
    }

    /// The extents of the image.
    pub(in crate::onnx) fn image(&self) -> Vec<usize> {
        self.axes[3 - self.rank..].iter().map(|slide| slide.image).collect()
    }

    pub(in crate::onnx) fn kernel(&self) -> usize {
        self.axes.iter().map(|slide| slide.kernel).product()
    }
}
