//! From a video and its key points to what a generation is given.

use std::borrow::Cow;
use std::sync::Arc;

use image::RgbImage;

use super::canvas::area_size;
use super::conditions::{Conditions, Replaced};
use super::cuts::find_cuts;
use super::face::{FaceBox, FaceCrop, face_boxes};
use super::keypoints::Keypoints;
use super::mask::MaskGrowth;
use super::reference_fit::ReferenceFit;
use super::report::{Flag, FrameReport, Report, report_mask, report_points, retarget_json};
use super::resolution::Resolution;
use super::retarget::{Retarget, Retargeted};
use super::skeleton::skeletons;
use super::smooth::{fill_gaps, smooth};
use super::sources::{Faces, Fitted, Grown, Masks, Overlay, Poses};
use crate::count::count;
use crate::video::Frames;
use crate::video::fps::Sampling;
use crate::{Error, Result};

/// Frames a second of a video that does not know.
const DEFAULT_FPS: f64 = 30.0;

/// What can be asked for.
const RATES: std::ops::RangeInclusive<f64> = 4.0..=60.0;

/// How a video is prepared. What is not set is as in Wan2.2's own preprocessing, but that the rate stays the video's own.
#[derive(Clone, Debug)]
#[must_use = "nothing is prepared before it is given a video"]
pub struct Preprocess {
    fps: Option<f64>,
    canvas: Canvas,
    aspect: Aspect,
    fit: ReferenceFit,
    retarget: Option<Retarget>,
    smooth: bool,
    fill_gaps: usize,
    face: FaceCrop,
    growth: MaskGrowth,
    least_island: f64,
    largest_hole: f64,
}

/// The size that is generated.
#[derive(Clone, Copy, Debug)]
enum Canvas {
    Area(u64),
    Size(u32, u32),
}

/// Whose aspect an animation has, where its size is an area.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Aspect {
    /// The character image's, as in Wan2.2's own preprocessing.
    #[default]
    Reference,
    /// The driving video's.
    Video,
}

/// What is not made but given, and what was seen beside the person.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beside {
    pub pose: Option<Frames>,
    pub face: Option<Frames>,
    pub background: Option<Frames>,
    /// Frames of the video after sampling in which more persons than one were seen.
    pub crowded: Vec<usize>,
}

impl Default for Preprocess {
    fn default() -> Self {
        Self {
            fps: None,
            canvas: Canvas::Area(Resolution::P720.area()),
            aspect: Aspect::default(),
            fit: ReferenceFit::default(),
            retarget: None,
            smooth: false,
            fill_gaps: 0,
            face: FaceCrop::default(),
            growth: MaskGrowth::default(),
            least_island: 0.0,
            largest_hole: 0.0,
        }
    }
}

impl Preprocess {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Frames a second, 4 to 60, by leaving out or repeating frames; the video's own by default.
    pub fn fps(mut self, fps: f64) -> Self {
        self.fps = Some(fps);
        self
    }

    /// About how many pixels are generated, in the aspect of the reference (animate) or of the video (replace), both sides multiples of
    /// 16. 1280 * 720 by default.
    pub fn area(mut self, pixels: u64) -> Self {
        self.canvas = Canvas::Area(pixels);
        self
    }

    /// The area of a resolution that has a name.
    pub fn resolution(self, resolution: Resolution) -> Self {
        self.area(resolution.area())
    }

    /// Whose aspect an [animation](Self::animate) has, where its size is an area. Default: [`Aspect::Reference`].
    pub fn aspect(mut self, aspect: Aspect) -> Self {
        self.aspect = aspect;
        self
    }

    /// How the character image is brought to the aspect of what is generated. Default: [`ReferenceFit::Letterbox`].
    pub fn reference_fit(mut self, fit: ReferenceFit) -> Self {
        self.fit = fit;
        self
    }

    /// What is shown of the character image where so many pixels are generated.
    pub fn shown<'a>(&self, reference: &'a RgbImage, size: (u32, u32)) -> Cow<'a, RgbImage> {
        self.fit.shown(reference, size)
    }

    /// The size that is generated, in place of an area; poses, or the video, are fitted into it with black bars.
    pub fn size(mut self, width: u32, height: u32) -> Self {
        self.canvas = Canvas::Size(width, height);
        self
    }

    /// Gives the poses the character's proportions. For [`animate`](Self::animate) alone. Off by default.
    pub fn retarget(mut self, retarget: Retarget) -> Self {
        self.retarget = Some(retarget);
        self
    }

    /// Calms the jitter of points (one-euro filter), but not over cuts. Off by default.
    pub fn smooth(mut self, smooth: bool) -> Self {
        self.smooth = smooth;
        self
    }

    /// Points that are lost (score below 0.3) for at most so many frames are put between where they were before and after; 4 is a good
    /// number. 0 by default.
    pub fn fill_gaps(mut self, frames: usize) -> Self {
        self.fill_gaps = frames;
        self
    }

    /// How the face is cut out. A face that is lost for up to 8 frames is taken to be where it was; after that the middle of the picture is
    /// shown. The report has flags for both.
    pub fn face(mut self, crop: FaceCrop) -> Self {
        self.face = crop;
        self
    }

    /// How often the person's mask is dilated, 3 by default; with 0 it is used as it is, without a grid. For [`replace`](Self::replace).
    pub fn iterations(mut self, iterations: u32) -> Self {
        self.growth.iterations = iterations;
        self
    }

    /// Width and height in pixels of the square that it is dilated by; 7 by default.
    pub fn kernel_size(mut self, pixels: u32) -> Self {
        self.growth.kernel_size = pixels;
        self
    }

    /// Into how many columns the box around the dilated mask is divided; cells that it touches are filled. 1 by default: the whole box.
    pub fn w_subdivisions(mut self, columns: u32) -> Self {
        self.growth.w_subdivisions = columns;
        self
    }

    /// Into how many rows it is divided; 1 by default.
    pub fn h_subdivisions(mut self, rows: u32) -> Self {
        self.growth.h_subdivisions = rows;
        self
    }

    /// Drops parts of the person's mask that are not connected with the rest and less than this share of it, 0 to 1. 0 (none) by default.
    pub fn least_island(mut self, share: f64) -> Self {
        self.least_island = share;
        self
    }

    /// Fills holes in the person's mask of at most this share of it, 0 to 1. 0 (none) by default.
    pub fn largest_hole(mut self, share: f64) -> Self {
        self.largest_hole = share;
        self
    }

    /// What the character of `reference` is animated by. The size is the reference's; poses are drawn in the video's size and fitted into
    /// it, or retargeted.
    ///
    /// Key points are of the video's frames, before or after sampling. Reads the whole video once.
    ///
    /// # Errors
    /// [`Error::Input`] for settings out of range, and where key points are of another size or number of frames than the video.
    pub fn animate(&self, reference: &RgbImage, video: &Frames, keypoints: &Keypoints) -> Result<Conditions> {
        self.animate_beside(reference, video, keypoints, Beside::default())
    }

    pub(crate) fn animate_beside(&self, reference: &RgbImage, video: &Frames, keypoints: &Keypoints, beside: Beside) -> Result<Conditions> {
        self.check()?;
        let size = self.size_of_animation(reference.dimensions(), video.size())?;
        let clip = self.sample(video, keypoints.fps())?;
        let keypoints = clip.keypoints(keypoints)?;
        require_size("the key points are", (keypoints.width(), keypoints.height()), &[video.size()])?;
        let found = self.find(&clip, &keypoints)?;
        let retargeted = self.retarget.as_ref().map(|retarget| self.retargeted(retarget, reference, size, &found.keypoints)).transpose()?;
        let (drawn, skeletons) = match &retargeted {
            Some(retargeted) => (size, retargeted.skeletons().to_vec()),
            None => (video.size(), skeletons(&found.keypoints)),
        };
        let pose = Poses { skeletons, drawn, size, fps: clip.video.fps() };
        found.finish(clip, pose, None, retargeted, beside)
    }

    /// What the person of a video is replaced by. The size has the video's aspect. In `mask`, of as many frames as the video or of one that
    /// stands for all, the person is where red is above 127.
    ///
    /// Key points and mask are of the video's frames, before or after sampling, at the video's size or the one generated. Reads video and
    /// mask once.
    ///
    /// # Errors
    /// [`Error::Input`] as in [`animate`](Self::animate), for the mask too, where it is empty in all frames, and with
    /// [`retarget`](Self::retarget), which would move the person out of its mask.
    pub fn replace(&self, video: &Frames, keypoints: &Keypoints, mask: &Frames) -> Result<Conditions> {
        self.replace_beside(video, keypoints, mask, Beside::default())
    }

    pub(crate) fn replace_beside(&self, video: &Frames, keypoints: &Keypoints, mask: &Frames, beside: Beside) -> Result<Conditions> {
        self.check()?;
        let size = self.size_of_replacement(video.size())?;
        let mut clip = self.sample(video, keypoints.fps())?;
        let keypoints = clip.keypoints(keypoints)?;
        let sizes = [video.size(), size];
        require_size("the key points are", (keypoints.width(), keypoints.height()), &sizes)?;
        require_size("the mask is", mask.size(), &sizes)?;
        let keypoints = keypoints.fitted(size.0, size.1);
        let masks = Masks { video: fitted(clip.mask(mask)?, size)?, least_island: self.least_island, largest_hole: self.largest_hole };
        clip.video = fitted(clip.video, size)?;
        let found = self.find(&clip, &keypoints)?;
        let pose = Poses { skeletons: skeletons(&found.keypoints), drawn: size, size, fps: clip.video.fps() };
        found.finish(clip, pose, Some((masks, self.growth)), None, beside)
    }

    /// The size of what [`animate`](Self::animate) prepares, of a reference and a video of these sizes.
    pub(crate) fn size_of_animation(&self, reference: (u32, u32), video: (u32, u32)) -> Result<(u32, u32)> {
        self.canvas_size(if self.aspect == Aspect::Video { video } else { reference })
    }

    /// The size of what [`replace`](Self::replace) prepares.
    pub(crate) fn size_of_replacement(&self, video: (u32, u32)) -> Result<(u32, u32)> {
        if self.retarget.is_some() {
            return Err(Error::Input("poses cannot be retargeted where a person is replaced: they would leave the mask".into()));
        }
        self.canvas_size(video)
    }

    /// A video at the rate asked for, and that; the key points' rate counts where it has none.
    pub(crate) fn sampled(&self, video: &Frames, keypoints_fps: Option<f64>) -> Result<(Frames, f64)> {
        let clip = self.sample(video, keypoints_fps)?;
        Ok((clip.video, clip.fps))
    }

    /// What poses are retargeted to, where they are.
    pub(crate) fn retargeting(&self) -> Option<&Retarget> {
        self.retarget.as_ref()
    }

    pub(crate) fn check(&self) -> Result<()> {
        if let Some(fps) = self.fps.filter(|fps| !RATES.contains(fps)) {
            return Err(Error::Input(format!("{fps} frames a second; give 4 to 60, or none for the video's own")));
        }
        self.growth.check()?;
        self.face.check()?;
        if !(0.0..=1.0).contains(&self.least_island) {
            return Err(Error::Input(format!("a least island of {} is not a share; give 0 to 1", self.least_island)));
        }
        if !(0.0..=1.0).contains(&self.largest_hole) {
            return Err(Error::Input(format!("a largest hole of {} is not a share; give 0 to 1", self.largest_hole)));
        }
        Ok(())
    }

    fn retargeted(&self, retarget: &Retarget, reference: &RgbImage, size: (u32, u32), driving: &Keypoints) -> Result<Retargeted> {
        let keypoints = retarget.reference()?;
        require_size("the reference's key points are", (keypoints.width(), keypoints.height()), &[reference.dimensions(), size])?;
        let shown = self.fit.keypoints(keypoints, size);
        retarget.clone().onto(shown.fitted(size.0, size.1)).apply(driving)
    }

    fn canvas_size(&self, (width, height): (u32, u32)) -> Result<(u32, u32)> {
        match self.canvas {
            Canvas::Area(area) => area_size(width, height, area),
            Canvas::Size(width, height) if (16..=8192).contains(&width) && (16..=8192).contains(&height) => Ok((width, height)),
            Canvas::Size(width, height) => Err(Error::Input(format!("{width}x{height} pixels cannot be generated; sides are 16 to 8192"))),
        }
    }

    fn sample(&self, video: &Frames, keypoints_fps: Option<f64>) -> Result<Clip> {
        let own = video.fps().or(keypoints_fps);
        let own_frames = video.num_frames();
        let sampling = match (own, self.fps) {
            (Some(own), Some(fps)) if own != fps => Some(Sampling::new(own_frames, own, fps)?),
            _ => None,
        };
        let video = match sampling {
            Some(sampling) => video.clone().sampled(sampling)?,
            None => video.clone(),
        };
        Ok(Clip { video, own_frames, sampling, fps: self.fps.or(own).unwrap_or(DEFAULT_FPS) })
    }

    /// Everything that is taken from key points, whichever the mode.
    fn find(&self, clip: &Clip, keypoints: &Keypoints) -> Result<Found> {
        let cuts = find_cuts(&clip.video, keypoints)?;
        let mut frames = keypoints.frames().to_vec();
        let filled = fill_gaps(&mut frames, self.fill_gaps, &cuts);
        if self.smooth {
            smooth(&mut frames, clip.fps, &cuts);
        }
        let keypoints = Keypoints::new(keypoints.width(), keypoints.height(), Some(clip.fps), frames)?;
        let faces = face_boxes(&keypoints, self.face, &cuts);
        let report = report_points(&keypoints, &cuts, &filled, &faces);
        let faces = faces.into_iter().map(|(found, _)| found).collect();
        Ok(Found { keypoints, faces, report })
    }
}

/// A video at the rate asked for.
struct Clip {
    video: Frames,
    own_frames: usize,
    sampling: Option<Sampling>,
    fps: f64,
}

impl Clip {
    /// Key points of the video before or after sampling, after it.
    fn keypoints(&self, keypoints: &Keypoints) -> Result<Keypoints> {
        match (self.sampling, keypoints.frames().len()) {
            (_, count) if count == self.video.num_frames() => Ok(keypoints.clone()),
            (Some(sampling), count) if count == self.own_frames => Ok(keypoints.sampled(&sampling)),
            (_, count) => Err(self.wrong_count("key points", count)),
        }
    }

    /// Poses, faces or a background that were given, likewise; those that are made where none were.
    fn given(&self, what: &str, given: Option<Frames>, made: impl FnOnce() -> Result<Frames>) -> Result<Frames> {
        let Some(given) = given else { return made() };
        match (self.sampling, given.num_frames()) {
            (_, count) if count == self.video.num_frames() => Ok(given),
            (Some(sampling), count) if count == self.own_frames => given.sampled(sampling),
            (_, count) => Err(self.wrong_count(what, count)),
        }
    }

    /// A mask video likewise; one picture stays one.
    fn mask(&self, mask: &Frames) -> Result<Frames> {
        match (self.sampling, mask.num_frames()) {
            (_, count) if count == 1 || count == self.video.num_frames() => Ok(mask.clone()),
            (Some(sampling), count) if count == self.own_frames => mask.clone().sampled(sampling),
            (_, count) => Err(self.wrong_count("masks", count)),
        }
    }

    fn wrong_count(&self, what: &str, found: usize) -> Error {
        let sampled = match self.sampling {
            Some(_) => format!(" ({} at {} frames a second)", self.video.num_frames(), self.fps),
            None => String::new(),
        };
        Error::Input(format!("there are {what} of {}, but the video has {}{sampled}", count(found, "frame"), self.own_frames))
    }
}

/// What was taken from key points.
struct Found {
    keypoints: Keypoints,
    faces: Vec<FaceBox>,
    report: Vec<FrameReport>,
}

impl Found {
    fn finish(
        self,
        clip: Clip,
        pose: Poses,
        masks: Option<(Masks, MaskGrowth)>,
        retargeted: Option<Retargeted>,
        beside: Beside,
    ) -> Result<Conditions> {
        let Self { keypoints, faces, mut report } = self;
        report
            .iter_mut()
            .enumerate()
            .filter(|(index, _)| beside.crowded.contains(index))
            .for_each(|(_, frame)| frame.flags.push(Flag::SeveralPersons));
        if let Some((masks, _)) = &masks {
            look_at_masks(&mut report, &keypoints, masks)?;
        }
        let report = Arc::new(Report { frames: report, retarget: retargeted.as_ref().map(retarget_json) });
        let (keypoints, faces) = (Arc::new(keypoints), Arc::new(faces));
        let (video, fps, size) = (clip.video.clone(), clip.fps, pose.size);
        let replaced = masks.clone().map(|(masks, growth)| {
            let grown = |cut_out| Frames::new(Grown { video: video.clone(), masks: masks.clone(), growth, cut_out });
            let background = clip.given("background frames", beside.background, || grown(true))?;
            Ok::<_, Error>(Replaced { background, mask: grown(false)? })
        });
        let masks = masks.map(|(masks, _)| masks);
        Ok(Conditions {
            size,
            pose: clip.given("poses", beside.pose, || Frames::new(pose))?,
            face: clip.given("faces", beside.face, || Frames::new(Faces { video: video.clone(), boxes: faces.clone() }))?,
            replaced: replaced.transpose()?,
            overlay: Frames::new(Overlay { video, keypoints: keypoints.clone(), faces, masks, report: report.clone() })?,
            keypoints,
            report,
            fps,
        })
    }
}

/// Adds to the report what the masks tell.
fn look_at_masks(report: &mut [FrameReport], keypoints: &Keypoints, masks: &Masks) -> Result<()> {
    let mut last = None;
    for (index, frame) in report.iter_mut().enumerate() {
        let mask = masks.read(index)?;
        report_mask(frame, &keypoints.frames()[index], &mask, last.as_ref().map(|(mask, at)| (mask, *at)));
        last = Some((mask, frame.person));
    }
    match report.iter().all(|frame| frame.mask_pixels == Some(0)) {
        true => {
            Err(Error::Input("the mask is empty in all frames: nothing would be replaced; the person is where red is above 127".into()))
        }
        false => Ok(()),
    }
}

fn fitted(video: Frames, size: (u32, u32)) -> Result<Frames> {
    if video.size() == size { Ok(video) } else { Frames::new(Fitted { video, size }) }
}

fn require_size(what: &str, (width, height): (u32, u32), sizes: &[(u32, u32)]) -> Result<()> {
    if sizes.contains(&(width, height)) {
        return Ok(());
    }
    let known: Vec<String> = sizes.iter().map(|(width, height)| format!("{width}x{height}")).collect();
    Err(Error::Input(format!("{what} of pictures of {width}x{height} pixels, not of {}; resize them", known.join(" or "))))
}
