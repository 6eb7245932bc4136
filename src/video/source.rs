//! Where input frames come from.

use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use image::RgbImage;

use super::timing::Timing;
use crate::count::count;
use crate::{Error, Result};

/// A video whose frames are read when they are needed, so that its length costs no memory.
///
/// Frames are asked for by the thread that runs the generation, one at a time. All have the size that the source says; one of another size is
/// stretched as the video would be.
///
/// ```
/// use wan_animate::image::{Rgb, RgbImage};
/// use wan_animate::video::{FrameSource, Frames};
/// use wan_animate::{Error, Result};
///
/// /// What an application renders by itself.
/// struct Rendered;
///
/// impl FrameSource for Rendered {
///     fn num_frames(&self) -> usize {
///         77
///     }
///
///     fn size(&self) -> (u32, u32) {
///         (832, 480)
///     }
///
///     fn fps(&self) -> Option<f64> {
///         Some(30.0)
///     }
///
///     fn read(&self, index: usize) -> Result<RgbImage> {
///         // An error of the application's own ends the generation, and is the `source()` of the error that it ends with.
///         let level = u8::try_from(index).map_err(Error::foreign)?;
///         Ok(RgbImage::from_pixel(832, 480, Rgb([level, 0, 0])))
///     }
/// }
///
/// assert_eq!(Frames::new(Rendered)?.num_frames(), 77);
/// # Ok::<(), Error>(())
/// ```
pub trait FrameSource: Send + Sync {
    /// How many frames it has; at least one.
    fn num_frames(&self) -> usize;

    /// Width and height in pixels, the same for all frames.
    fn size(&self) -> (u32, u32);

    /// Frames a second, where the source knows.
    fn fps(&self) -> Option<f64>;

    /// Where frames do not follow each other evenly: when each is shown, and last of all when the video ends, in rising seconds; one
    /// more than there are frames. `None`, the default, where they do or the source does not know.
    fn times(&self) -> Option<&[f64]> {
        None
    }

    /// The frame at `index`, from 0. Made to be fast for rising indices, and for going back a little and again.
    ///
    /// # Errors
    /// [`Error::Input`] for an index of [`num_frames`](Self::num_frames) or more, and where the frame cannot be decoded; [`Error::Io`] where the
    /// system refuses; [`Error::Foreign`] with what else an application's own source fails with. A generation ends with it, unchanged.
    fn read(&self, index: usize) -> Result<RgbImage>;
}

/// A video given as input: anything that is a [`FrameSource`]. Cheap to clone.
#[derive(Clone)]
pub struct Frames {
    source: Arc<dyn FrameSource>,
    path: Option<Arc<Path>>,
}

impl Frames {
    /// Wraps a source.
    ///
    /// # Errors
    /// [`Error::Input`] where it has no frames or an empty size.
    pub fn new(source: impl FrameSource + 'static) -> Result<Self> {
        if source.num_frames() == 0 {
            return Err(Error::Input("a video needs at least one frame".into()));
        }
        let (width, height) = source.size();
        if width == 0 || height == 0 {
            return Err(Error::Input(format!("a video of {width}x{height} pixels has nothing to show")));
        }
        Ok(Self { source: Arc::new(source), path: None })
    }

    /// Frames that are in memory already.
    ///
    /// # Errors
    /// [`Error::Input`] where there are none or their sizes differ.
    pub fn from_images(images: impl IntoIterator<Item = RgbImage>) -> Result<Self> {
        Self::from_timed_images(images.into_iter().collect(), Timing::default())
    }

    pub(super) fn from_timed_images(images: Vec<RgbImage>, timing: Timing) -> Result<Self> {
        let size = images.first().map(RgbImage::dimensions);
        if let Some((index, odd)) = images.iter().enumerate().find(|(_, image)| Some(image.dimensions()) != size) {
            let ((w, h), (width, height)) = (odd.dimensions(), images[0].dimensions());
            let message = format!("frame {index} has {w}x{h} pixels, but the first has {width}x{height}; make all frames the same size");
            return Err(Error::Input(message));
        }
        Self::new(Images { images, timing })
    }

    /// The file or directory that they were [opened](Self::open) from, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub(super) fn with_path(self, path: Option<Arc<Path>>) -> Self {
        Self { path, ..self }
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Frames").field("num_frames", &self.num_frames()).field("size", &self.size()).finish_non_exhaustive()
    }
}

impl Deref for Frames {
    type Target = dyn FrameSource;

    fn deref(&self) -> &Self::Target {
        self.source.as_ref()
    }
}

struct Images {
    images: Vec<RgbImage>,
    timing: Timing,
}

impl FrameSource for Images {
    fn num_frames(&self) -> usize {
        self.images.len()
    }

    fn size(&self) -> (u32, u32) {
        self.images.first().map_or((0, 0), RgbImage::dimensions)
    }

    fn fps(&self) -> Option<f64> {
        self.timing.fps
    }

    fn times(&self) -> Option<&[f64]> {
        self.timing.times.as_deref()
    }

    fn read(&self, index: usize) -> Result<RgbImage> {
        check_index(index, self.images.len())?;
        Ok(self.images[index].clone())
    }
}

pub(super) fn check_index(index: usize, num_frames: usize) -> Result<()> {
    if index < num_frames {
        return Ok(());
    }
    Err(Error::Input(format!("frame {index} was asked for, but the video has {}", count(num_frames, "frame"))))
}
