//! A directory of images as a video.

use std::cmp::Ordering;
use std::path::Path;

use image::RgbImage;

use super::kind::Kind;
use super::source::{FrameSource, check_index};
use super::still::{dimensions, read_image};
use crate::location::Location;
use crate::{Error, Result};

/// Endings of pictures: a file that has one but cannot be read would otherwise silently be a missing frame.
const PICTURE_ENDINGS: [&str; 13] = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "heif", "exr", "jxl"];

/// The PNG, JPEG and WebP images (and the first pictures of animations) of a directory, by name, numbers by value: `2` before `10`.
pub(super) struct FrameDir {
    files: Vec<Location>,
    size: (u32, u32),
}

impl FrameDir {
    /// Fails when no image is found, when one has another size than the first, and when a file with a picture's ending is
    /// not one that can be read. Other files, hidden ones and folders are passed over.
    pub(super) fn open(folder: &Location) -> Result<Self> {
        let mut files = Vec::new();
        let mut names = folder.names()?;
        names.sort_by(|a, b| natural_order(a, b));
        for name in names {
            let file = folder.join(&name);
            if is_frame(&file, &name)? {
                files.push(file);
            }
        }
        let Some(first) = files.first() else {
            return Err(Error::Input(format!("{}: holds no PNG, JPEG or WebP image", folder.path().display())));
        };
        let size = dimensions(first)?;
        for file in &files {
            let (w, h) = dimensions(file)?;
            if (w, h) != size {
                let (width, height) = size;
                let message = format!("{w}x{h} pixels, but {} has {width}x{height}; make all frames the same size", name(first));
                return Err(Error::Input(format!("{}: {message}", file.path().display())));
            }
        }
        Ok(Self { files, size })
    }
}

impl FrameSource for FrameDir {
    fn num_frames(&self) -> usize {
        self.files.len()
    }

    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn fps(&self) -> Option<f64> {
        None
    }

    fn read(&self, index: usize) -> Result<RgbImage> {
        check_index(index, self.files.len())?;
        read_image(&self.files[index])
    }
}

fn is_frame(file: &Location, name: &str) -> Result<bool> {
    if name.starts_with('.') || !file.is_file() {
        return Ok(false);
    }
    let kind = Kind::of(file)?;
    if matches!(kind, Kind::Picture(_)) {
        return Ok(true);
    }
    let ending = Path::new(name).extension().unwrap_or_default().to_string_lossy().to_lowercase();
    if PICTURE_ENDINGS.contains(&ending.as_str()) {
        let is = if let Kind::Other(name) = kind { format!("{name}, not") } else { "not".into() };
        return Err(Error::Input(format!("{}: {is} a PNG, JPEG or WebP image; convert or remove it", file.path().display())));
    }
    Ok(false)
}

fn name(file: &Location) -> String {
    file.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Runs of digits compare as numbers, all else as text.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while !left.is_empty() && !right.is_empty() {
        let (x, y) = (split_run(&mut left), split_run(&mut right));
        let order = if x.as_bytes()[0].is_ascii_digit() && y.as_bytes()[0].is_ascii_digit() {
            let (x, y) = (x.trim_start_matches('0'), y.trim_start_matches('0'));
            x.len().cmp(&y.len()).then(x.cmp(y))
        } else {
            x.cmp(y)
        };
        if order.is_ne() {
            return order;
        }
    }
    // `7` and `007` are one number; the text decides, so that the order is always the same.
    left.len().cmp(&right.len()).then(a.cmp(b))
}

/// Takes the leading run of digits, or of anything else, off `text`.
fn split_run<'a>(text: &mut &'a str) -> &'a str {
    let digits = text.as_bytes()[0].is_ascii_digit();
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    let (run, rest) = text.split_at(end);
    *text = rest;
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_sort_by_value() {
        let sorted = ["1.png", "2.png", "10.png", "a1b2.png", "a1b10.png", "a01b11.png", "b.png", "é9.png", "é10.png"];
        let mut names = sorted.to_vec();
        names.reverse();
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(names, sorted);
        assert_eq!(natural_order("007", "7"), Ordering::Less);
        assert_eq!(natural_order("7", "7"), Ordering::Equal);
        // Longer than any integer type.
        assert_eq!(natural_order("99999999999999999999999999", "100000000000000000000000000"), Ordering::Less);
    }
}
