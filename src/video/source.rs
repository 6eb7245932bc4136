//! Where input frames come from.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use image::{ImageFormat, RgbImage};

use super::{frame_dir::FrameDir, gif::read_gif, still::open_image, still::sniff};
use crate::{Error, Result};

/// A video whose frames are read when they are needed, so that its length costs no memory.
pub trait FrameSource: Send + Sync {
    /// How many frames it has; at least one.
    fn num_frames(&self) -> usize;

    /// Width and height in pixels, the same for all frames.
    fn size(&self) -> (u32, u32);

    /// Frames a second, where the source knows.
    fn fps(&self) -> Option<f64>;

    /// The frame at `index`, from 0. Made to be fast for rising indices, and for going back a little and again.
    /// Fails for an index of [`num_frames`](Self::num_frames) or more, and when the frame cannot be read or decoded.
    fn read(&self, index: usize) -> Result<RgbImage>;
}

/// A video given as input: anything that is a [`FrameSource`]. Cheap to clone.
#[derive(Clone)]
pub struct Frames(Arc<dyn FrameSource>);

impl Frames {
    /// Wraps a source. Fails when it has no frames or an empty size.
    pub fn new(source: impl FrameSource + 'static) -> Result<Self> {
        if source.num_frames() == 0 {
            return Err(Error::Input("a video needs at least one frame".into()));
        }
        let (width, height) = source.size();
        if width == 0 || height == 0 {
            return Err(Error::Input(format!("a video of {width}x{height} pixels has nothing to show")));
        }
        Ok(Self(Arc::new(source)))
    }

    /// Frames that are in memory already. Fails when there are none or their sizes differ.
    pub fn from_images(images: impl IntoIterator<Item = RgbImage>) -> Result<Self> {
        Self::from_images_at(images.into_iter().collect(), None)
    }

    fn from_images_at(images: Vec<RgbImage>, fps: Option<f64>) -> Result<Self> {
        let size = images.first().map(RgbImage::dimensions);
        if let Some((index, odd)) = images.iter().enumerate().find(|(_, image)| Some(image.dimensions()) != size) {
            let ((w, h), (width, height)) = (odd.dimensions(), images[0].dimensions());
            let message = format!("frame {index} has {w}x{h} pixels, but the first has {width}x{height}; make all frames the same size");
            return Err(Error::Input(message));
        }
        Self::new(Images { images, fps })
    }

    /// Opens a directory of PNG, JPEG or WebP images, one such image, an animated GIF, or an MP4 or MOV file with H.264
    /// (feature `mp4`). Content decides, not the name's ending.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.is_dir() {
            return Self::new(FrameDir::open(path)?);
        }
        match sniff(path)? {
            Some(ImageFormat::Gif) => {
                let (images, fps) = read_gif(path)?;
                Self::from_images_at(images, fps)
            }
            Some(_) => Self::from_images([open_image(path)?]),
            None => open_video(path),
        }
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
        self.0.as_ref()
    }
}

struct Images {
    images: Vec<RgbImage>,
    fps: Option<f64>,
}

impl FrameSource for Images {
    fn num_frames(&self) -> usize {
        self.images.len()
    }

    fn size(&self) -> (u32, u32) {
        self.images.first().map_or((0, 0), RgbImage::dimensions)
    }

    fn fps(&self) -> Option<f64> {
        self.fps
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
    Err(Error::Input(format!("frame {index} was asked for, but the video has {num_frames} frames")))
}

fn open_video(path: &Path) -> Result<Frames> {
    let mut start = [0; 12];
    let mut file = File::open(path).map_err(Error::io(path))?;
    file.read(&mut start).map_err(Error::io(path))?;
    let convert = "convert it, for example with `ffmpeg -i IN -c:v libx264 -crf 12 -pix_fmt yuv420p OUT.mp4`";
    let unsupported = |what: &str| Error::Unsupported(format!("{}: {what} files are not read; {convert}", path.display()));
    match &start {
        [_, _, _, _, b'f', b't', b'y', b'p', ..] | [_, _, _, _, b'm', b'o', b'o', b'v', ..] => open_mp4(path),
        [_, _, _, _, b'm', b'd', b'a', b't', ..] | [_, _, _, _, b'w', b'i', b'd', b'e', ..] => open_mp4(path),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Err(unsupported("WebM and Matroska")),
        [b'R', b'I', b'F', b'F', ..] => Err(unsupported("AVI")),
        _ => {
            let message = "neither a picture (PNG, JPEG, WebP, GIF) nor a video (MP4, MOV)";
            Err(Error::Input(format!("{}: {message}", path.display())))
        }
    }
}

#[cfg(feature = "mp4")]
fn open_mp4(path: &Path) -> Result<Frames> {
    Frames::new(super::mp4::open_mp4(path)?)
}

#[cfg(not(feature = "mp4"))]
fn open_mp4(path: &Path) -> Result<Frames> {
    Err(Error::Unsupported(format!("{}: reading MP4 and MOV needs the crate's feature `mp4`", path.display())))
}
