//! Preparing a driving video, a frame at a time.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use image::RgbImage;

use crate::cancel::Cancel;
use crate::driving::cache::{Cache, Entry};
use crate::driving::driving_video::{DrivingVideo, Finder, Purpose};
use crate::driving::found_file::{Finding, Findings};
use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::networks::{Found, Networks, Search, Walk};
use crate::preprocess::{Conditions, Preprocess};
use crate::video::Frames;

/// A driving video on its way. Made by [`DrivingVideo::to_animate`] and [`DrivingVideo::to_replace`].
#[must_use = "nothing is prepared before it runs"]
pub struct Preparation {
    driving: DrivingVideo,
    purpose: Purpose,
    device: Device,
    /// At the rate asked for.
    video: Frames,
    /// From when they are needed until all is found.
    networks: Option<Arc<Mutex<Networks>>>,
    /// What is being looked through.
    search: Option<Looking>,
    findings: Findings,
    /// Frames that networks go through, some of them twice.
    frames: usize,
    done: usize,
}

/// A walk, and where what comes of it is kept.
struct Looking {
    walk: Walk,
    entry: Option<Entry>,
    /// Likewise of the points alone, until these are there.
    points: Option<Entry>,
}

/// What a piece of work came to.
pub enum Stride {
    /// So many pieces are done of so many.
    On(usize, usize),
    /// All is done. On a dry device there is nothing to show for it.
    Over(Option<Box<Conditions>>),
}

impl DrivingVideo {
    /// To let the character of `reference` perform the motion: its size, or the video's, is what is generated.
    ///
    /// # Errors
    /// [`Error::Input`] for settings out of range, and where nothing finds what is needed.
    pub fn to_animate(&self, reference: impl Into<Arc<RgbImage>>, device: &Device) -> Result<Preparation> {
        self.prepared(Purpose::Animate(reference.into()), device)
    }

    /// To replace the person.
    ///
    /// # Errors
    /// As [`to_animate`](Self::to_animate).
    pub fn to_replace(&self, device: &Device) -> Result<Preparation> {
        self.prepared(Purpose::Replace, device)
    }

    pub(crate) fn prepared(&self, purpose: Purpose, device: &Device) -> Result<Preparation> {
        self.check(&purpose)?;
        Preparation::new(self.clone(), purpose, device)
    }
}

impl Preparation {
    pub(super) fn new(driving: DrivingVideo, purpose: Purpose, device: &Device) -> Result<Self> {
        let (video, _) = driving.sampled()?;
        let (device, findings, frames) = (device.clone(), Findings::default(), video.num_frames());
        Ok(Self { driving, purpose, device, video, networks: None, search: None, findings, frames, done: 0 })
    }

    /// Does all of it. `progress` is called with the pieces of work that are done, as a rule frames, and all of them.
    ///
    /// # Errors
    /// [`Error::Input`] where nobody is found in any frame, or what was given is of another size or number of frames than the video;
    /// [`Error::Cancelled`]; those of the video, of the networks and of the cache's folder.
    pub fn run(mut self, cancel: &Cancel, progress: &mut dyn FnMut(usize, usize)) -> Result<Conditions> {
        loop {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            match self.step()? {
                Stride::On(done, total) => progress(done, total),
                Stride::Over(Some(conditions)) => return Ok(*conditions),
                Stride::Over(None) => return Err(Error::Unsupported("a dry device prepares no video".into())),
            }
        }
    }

    /// With what networks found before.
    pub(crate) fn with_findings(mut self, findings: Findings) -> Self {
        self.findings = findings;
        self
    }

    /// What networks found so far.
    pub(crate) fn findings(&self) -> &Findings {
        &self.findings
    }

    /// One piece of work; on a dry device what networks take.
    pub(crate) fn step(&mut self) -> Result<Stride> {
        if self.device.rehearsal().is_some() {
            return self.rehearse().map(|()| Stride::Over(None));
        }
        if let Some(looking) = self.search.take() {
            return self.look_on(looking);
        }
        if self.findings.reference.is_none() && self.looks_at_reference() {
            return self.look_at_reference();
        }
        match self.search_of_video() {
            Some(search) if self.findings.video.is_none() => self.look_at_video(search),
            _ => self.conclude(),
        }
    }

    fn rehearse(&mut self) -> Result<()> {
        let (is_needed, (width, height)) = (self.looks_at_reference() || self.search_of_video().is_some(), self.video.size());
        let masks = self.masks_are_wanted();
        match self.driving.finder {
            Some(Finder::Files(_)) if is_needed => self.networks()?.rehearse(width, height, masks)?,
            _ => {}
        }
        self.networks = None;
        Ok(())
    }

    fn looks_at_reference(&self) -> bool {
        matches!(self.purpose, Purpose::Animate(_)) && self.driving.looks_at_reference()
    }

    fn masks_are_wanted(&self) -> bool {
        matches!(self.purpose, Purpose::Replace) && self.driving.mask.is_none()
    }

    /// How networks look for the person; none where all of it was given.
    fn search_of_video(&self) -> Option<Search> {
        let masks = self.masks_are_wanted();
        let search = &self.driving.search;
        (masks || self.driving.keypoints.is_none()).then(|| if masks { search.clone().masks(true) } else { search.points() })
    }

    /// Pieces of work: frames, the reference, and what is made of it.
    fn total(&self) -> usize {
        let frames = self.search_of_video().map_or(0, |_| self.frames);
        usize::from(self.looks_at_reference()) + frames + 1
    }

    fn on(&mut self, pieces: usize) -> Stride {
        self.done += pieces;
        Stride::On(self.done, self.total())
    }

    fn networks(&mut self) -> Result<MutexGuard<'_, Networks>> {
        if self.networks.is_none() {
            self.networks = self.driving.open_finder(&self.device)?;
        }
        let networks = self.networks.as_ref().ok_or_else(|| Error::Input("nothing finds the person: give networks".into()))?;
        Ok(networks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn look_at_reference(&mut self) -> Result<Stride> {
        let Purpose::Animate(reference) = &self.purpose else { return self.conclude() };
        let picture = Frames::from_images([RgbImage::clone(reference)])?;
        let entry = self.cache(&picture)?.map(|cache| cache.entry(&Search::new()));
        let finding = match entry.as_ref().and_then(Entry::load) {
            Some(finding) => finding,
            None => {
                let mut walk = Walk::new(&picture, Search::new())?;
                walk.next(&mut *self.networks()?)?;
                kept(walk.finish().map_err(|_| nobody_in_reference())?, entry)?
            }
        };
        self.findings.reference = Some(Arc::new(finding));
        Ok(self.on(1))
    }

    fn look_at_video(&mut self, search: Search) -> Result<Stride> {
        let video = self.video.clone();
        let cache = self.cache(&video)?;
        let [entry, points] = [&search, &search.points()].map(|search| cache.as_ref().map(|cache| cache.entry(search)));
        if let Some(finding) = entry.as_ref().and_then(Entry::load) {
            self.findings.video = Some(Arc::new(finding));
            return Ok(self.on(video.num_frames()));
        }
        let mut walk = Walk::new(&video, search)?;
        let (pieces, follows) = (walk.pieces(&mut *self.networks()?), video.num_frames());
        self.frames = pieces;
        let points = points.filter(|_| pieces > follows);
        match points.as_ref().and_then(Entry::load) {
            Some(finding) => {
                walk.skip_to_masks(finding.found);
                self.search = Some(Looking { walk, entry, points: None });
                Ok(self.on(follows))
            }
            None => self.look_on(Looking { walk, entry, points }),
        }
    }

    /// The next frame.
    fn look_on(&mut self, mut looking: Looking) -> Result<Stride> {
        looking.walk.next(&mut *self.networks()?)?;
        if looking.walk.has_points() {
            looking.points.take().map_or(Ok(()), |entry| kept(looking.walk.points()?, Some(entry)).map(drop))?;
        }
        if !looking.walk.is_over() {
            self.search = Some(looking);
            return Ok(self.on(1));
        }
        let finding = kept(looking.walk.finish()?, looking.entry)?;
        self.findings.video = Some(Arc::new(finding));
        // They are gone before others need the memory.
        self.networks = None;
        Ok(self.on(1))
    }

    /// Where networks' work on a video is kept; none where it is not.
    fn cache(&self, video: &Frames) -> Result<Option<Cache>> {
        match (&self.driving.cache, &self.driving.finder) {
            (Some(folder), Some(Finder::Files(files))) => Cache::of(folder, video, files).map(Some),
            _ => Ok(None),
        }
    }

    /// What is made of all that was given and found.
    fn conclude(&mut self) -> Result<Stride> {
        self.networks = None;
        let (driving, found) = (&self.driving, self.findings.video.as_deref().map(|finding| &finding.found));
        let keypoints = driving.keypoints.as_ref().or(found.map(|found| &found.keypoints));
        let keypoints = keypoints.ok_or_else(|| Error::Input("nothing says where the person is".into()))?;
        let mut beside = driving.beside.clone();
        beside.crowded = found.map(|found| found.crowded.clone()).unwrap_or_default();
        let conditions = match &self.purpose {
            Purpose::Animate(reference) => self.retargeted().animate_beside(reference, &driving.video, keypoints, beside)?,
            Purpose::Replace => {
                let mask = driving.mask.as_ref().or(found.and_then(|found| found.masks.as_ref()));
                let mask = mask.ok_or_else(|| Error::Input("nothing says where the person's mask is".into()))?;
                driving.preprocess.replace_beside(&driving.video, keypoints, mask, beside)?
            }
        };
        Ok(Stride::Over(Some(Box::new(conditions))))
    }

    /// How it is prepared, with the character's points where these were found.
    fn retargeted(&self) -> Preprocess {
        let preprocess = self.driving.preprocess.clone();
        match (preprocess.retargeting().cloned(), &self.findings.reference) {
            (Some(retarget), Some(finding)) => preprocess.retarget(retarget.onto(finding.found.keypoints.clone())),
            _ => preprocess,
        }
    }
}

/// What was found, and its place in the cache if it has one.
fn kept(found: Found, entry: Option<Entry>) -> Result<Finding> {
    let finding = Finding::new(found)?;
    entry.map_or(Ok(()), |entry| entry.store(&finding))?;
    Ok(finding)
}

fn nobody_in_reference() -> Error {
    Error::Input(
        "nobody is found in the reference, to retarget poses to; give its key points, or an image in which a person is seen".into(),
    )
}

impl fmt::Debug for Preparation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Preparation").field("purpose", &self.purpose).field("done", &self.done).finish_non_exhaustive()
    }
}
