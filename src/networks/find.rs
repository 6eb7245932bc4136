//! Following one person through a video.

use std::fmt;
use std::str::FromStr;

use image::{GrayImage, RgbImage};

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::networks::boxes::Person;
use crate::networks::folder::{Masks, Networks};
use crate::networks::mask_prompts::MaskPrompts;
use crate::networks::masks::PackedMasks;
use crate::networks::pose::Pose;
use crate::preprocess::{Keypoints, PersonBox, SURE, WholeBody, is_cut};
use crate::video::{FrameSource, Frames};

/// Below this a person's box has little to do with where it was.
const SAME: f64 = 0.3;

/// How much larger than the box around its points a person may be in the next frame.
const ROOM: f64 = 0.25;

/// Which of several persons is meant, where one is looked for: in the first frame, and after a cut.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Subject {
    /// Who takes the most room.
    #[default]
    Largest,
    /// By number from the left, from 0.
    Index(usize),
    /// Who is at this place, in pixels, or nearest to it.
    Point(f64, f64),
    /// Whose box overlaps this one most.
    Box(PersonBox),
}

/// The text that is parsed again.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Largest => f.write_str("largest"),
            Self::Index(number) => write!(f, "{number}"),
            Self::Point(x, y) => write!(f, "{x},{y}"),
            Self::Box(PersonBox { x1, x2, y1, y2 }) => write!(f, "{x1},{y1},{x2},{y2}"),
        }
    }
}

impl FromStr for Subject {
    type Err = Error;

    /// `largest`, a number from the left, `X,Y`, or `X1,Y1,X2,Y2`: left, top, right, bottom.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::Input(format!("subject `{text}`; it must be largest, a number from the left, X,Y or X1,Y1,X2,Y2"));
        if text == "largest" {
            return Ok(Self::Largest);
        }
        if let Ok(number) = text.parse() {
            return Ok(Self::Index(number));
        }
        let number = |part: &str| part.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        match text.split(',').map(number).collect::<Option<Vec<_>>>().as_deref() {
            Some(&[x, y]) => Ok(Self::Point(x, y)),
            Some(&[x1, y1, x2, y2]) if x1 < x2 && y1 < y2 => Ok(Self::Box(PersonBox { x1, x2, y1, y2 })),
            _ => Err(wrong()),
        }
    }
}

crate::as_text::as_text!(Subject);

/// How a person is looked for.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "it is for `Networks::find`"]
pub struct Search {
    subject: Subject,
    every_frame: bool,
    masks: bool,
    prompts: MaskPrompts,
}

impl Search {
    /// The largest person, followed, without masks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Who is meant. Default: [`Subject::Largest`].
    pub fn subject(mut self, subject: Subject) -> Self {
        self.subject = subject;
        self
    }

    /// Whether the person is looked for anew in every frame, as Wan2.2's own preprocessing does, which changes from one to another where two are
    /// about as large. Default: no, it is followed by its points, and looked for where it is lost.
    pub fn every_frame(mut self, every_frame: bool) -> Self {
        self.every_frame = every_frame;
        self
    }

    /// Whether masks are wanted too. Default: no.
    pub fn masks(mut self, masks: bool) -> Self {
        self.masks = masks;
        self
    }

    /// The same without masks.
    pub(crate) fn points(&self) -> Self {
        Self { masks: false, prompts: MaskPrompts::default(), ..self.clone() }
    }

    /// What a network that follows masks through the video, such as SAM 2, is told of the person. Others are told nothing.
    pub fn mask_prompts(mut self, prompts: MaskPrompts) -> Self {
        self.prompts = prompts;
        self
    }
}

/// A person in a video.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Found {
    /// Its points in each frame; all at 0 with a score of 0 where it is not.
    pub keypoints: Keypoints,
    /// White where it is, frame by frame, where masks were asked for.
    pub masks: Option<Frames>,
    /// The most persons that were surely seen (a score of 0.3 or more) where one was looked for.
    pub persons: usize,
    /// The frames in which one was looked for.
    pub searched: Vec<usize>,
    /// Those of them in which more than one was surely seen.
    pub crowded: Vec<usize>,
}

impl Networks {
    /// Finds a person in all frames of a video. `progress` is called with the frames that are done and all of them, which are twice as many where masks
    /// are followed through the video.
    ///
    /// # Errors
    /// [`Error::Input`] where nobody is in any frame, or masks are asked for and no network makes any; [`Error::Cancelled`]; those of the video and of
    /// the networks.
    pub fn find(&mut self, video: &Frames, search: &Search, cancel: &Cancel, progress: &mut dyn FnMut(usize, usize)) -> Result<Found> {
        let mut walk = Walk::new(video, search.clone())?;
        let (mut done, pieces) = (0, walk.pieces(self));
        while !walk.is_over() {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            walk.next(self)?;
            done += 1;
            progress(done, pieces);
        }
        walk.finish()
    }

    /// Finds the person in one picture, such as a reference.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn find_in(&mut self, image: &RgbImage, subject: Subject) -> Result<Found> {
        self.find(&Frames::from_images([image.clone()])?, &Search::new().subject(subject), &Cancel::new(), &mut |_, _| {})
    }
}

/// The way through a video.
pub(crate) struct Walk {
    video: Frames,
    search: Search,
    /// Where the person was in the frame before.
    last: Option<PersonBox>,
    before: Option<RgbImage>,
    frames: Vec<WholeBody>,
    masks: Option<PackedMasks>,
    persons: usize,
    searched: Vec<usize>,
    crowded: Vec<usize>,
}

impl Walk {
    /// # Errors
    /// [`Error::Input`] for prompts that cannot be meant.
    pub(crate) fn new(video: &Frames, search: Search) -> Result<Self> {
        search.prompts.check(video.num_frames())?;
        let masks = search.masks.then(|| PackedMasks::new(video.size(), video.fps()));
        let (last, before, frames) = (None, None, Vec::new());
        Ok(Self { video: video.clone(), search, last, before, frames, masks, persons: 0, searched: Vec::new(), crowded: Vec::new() })
    }

    /// Whether all frames are done.
    pub(crate) fn is_over(&self) -> bool {
        let all = self.video.num_frames();
        self.has_points() && self.masks.as_ref().is_none_or(|masks| masks.num_frames() == all)
    }

    /// Whether the person was looked for in all frames.
    pub(crate) fn has_points(&self) -> bool {
        self.frames.len() == self.video.num_frames()
    }

    /// What was found so far, without masks.
    pub(crate) fn points(&self) -> Result<Found> {
        let (width, height) = self.video.size();
        let keypoints = Keypoints::new(width, height, self.video.fps(), self.frames.clone())?;
        let (searched, crowded) = (self.searched.clone(), self.crowded.clone());
        Ok(Found { keypoints, masks: None, persons: self.persons, searched, crowded })
    }

    /// Takes what was found before, for as many frames.
    pub(crate) fn skip_to_masks(&mut self, found: Found) {
        let Found { keypoints, persons, searched, crowded, .. } = found;
        (self.frames, self.persons, self.searched, self.crowded) = (keypoints.frames().to_vec(), persons, searched, crowded);
    }

    /// How many frames are gone through, some of them twice.
    pub(crate) fn pieces(&self, networks: &mut Networks) -> usize {
        let frames = self.video.num_frames();
        if self.search.masks && networks.masks.of_video().is_some() { 2 * frames } else { frames }
    }

    /// The next frame: the person's points, then, where a network goes through the video for them, its masks.
    pub(crate) fn next(&mut self, networks: &mut Networks) -> Result<()> {
        if self.has_points() { self.follow_next(networks) } else { self.look_at_next(networks) }
    }

    fn look_at_next(&mut self, networks: &mut Networks) -> Result<()> {
        let frame = self.video.read(self.frames.len())?;
        if self.before.as_ref().is_some_and(|before| is_cut(before, &frame)) {
            self.last = None;
        }
        let pose = self.frame(networks, &frame)?;
        if self.search.masks && networks.masks.of_video().is_none() {
            self.push(&mask(networks, &frame, &pose)?)?;
        }
        self.frames.push(pose.points);
        self.before = Some(frame);
        Ok(())
    }

    fn follow_next(&mut self, networks: &mut Networks) -> Result<()> {
        let Some(segmenter) = networks.masks.of_video() else { return Ok(()) };
        if self.masks.as_ref().is_some_and(|masks| masks.num_frames() == 0) {
            self.require_somebody()?;
            segmenter.begin(&self.video, &self.frames, &self.search.prompts)?;
        }
        self.push(&segmenter.next_mask()?)
    }

    fn push(&mut self, mask: &GrayImage) -> Result<()> {
        if mask.dimensions() != self.video.size() {
            let ((w, h), (width, height)) = (mask.dimensions(), self.video.size());
            return Err(Error::Input(format!("a mask of {w}x{h} pixels for a frame of {width}x{height}")));
        }
        self.masks.iter_mut().for_each(|masks| masks.push(mask));
        Ok(())
    }

    fn require_somebody(&self) -> Result<()> {
        if self.frames.iter().any(|points| PersonBox::of(points).is_some()) {
            return Ok(());
        }
        let what = if self.frames.len() == 1 { "picture" } else { "video" };
        let name = self.video.path().map_or_else(|| format!("the {what}"), |path| path.display().to_string());
        Err(Error::Input(format!("{name}: nobody is found in it; give key points, or a {what} in which a person is seen")))
    }

    /// What was found, once all frames are done.
    pub(crate) fn finish(self) -> Result<Found> {
        self.require_somebody()?;
        let found = self.points()?;
        Ok(Found { masks: self.masks.map(Frames::new).transpose()?, ..found })
    }

    fn frame(&mut self, networks: &mut Networks, frame: &RgbImage) -> Result<Pose> {
        let followed = self.last.filter(|_| !self.search.every_frame);
        if let Some(last) = followed {
            let pose = networks.pose.pose(frame, &last.grown(ROOM).within(frame.width(), frame.height()))?;
            if let Some(own) = is_same(&pose.points, &last) {
                self.last = Some(own);
                return Ok(pose);
            }
        }
        let Some(person) = self.look(networks, frame)? else {
            self.last = None;
            return Ok(Pose::new(WholeBody::missing()));
        };
        networks.pose.restart();
        let pose = networks.pose.pose(frame, &person.bounds)?;
        self.last = PersonBox::of(&pose.points).or(Some(person.bounds));
        Ok(pose)
    }

    /// Looks for the person: near where it was, or else who is meant.
    fn look(&mut self, networks: &mut Networks, frame: &RgbImage) -> Result<Option<Person>> {
        let mut persons = networks.detector.persons(frame)?;
        let (index, sure) = (self.frames.len(), persons.iter().filter(|person| person.score >= SURE).count());
        self.searched.push(index);
        self.persons = self.persons.max(sure);
        self.crowded.extend((sure > 1).then_some(index));
        let overlap = |person: &Person, with: &PersonBox| person.bounds.iou(with);
        if let Some(last) = self.last.filter(|_| !self.search.every_frame) {
            let near =
                persons.iter().filter(|person| overlap(person, &last) > 0.0).max_by(|a, b| overlap(a, &last).total_cmp(&overlap(b, &last)));
            if let Some(near) = near {
                return Ok(Some(*near));
            }
        }
        Ok(match self.search.subject {
            Subject::Largest => largest(&persons),
            Subject::Index(number) => {
                persons.sort_by(|a, b| a.bounds.x1.total_cmp(&b.bounds.x1));
                persons.get(number).copied()
            }
            Subject::Point(x, y) => persons.into_iter().min_by(|a, b| distance(&a.bounds, (x, y)).total_cmp(&distance(&b.bounds, (x, y)))),
            Subject::Box(wanted) => {
                let best = persons.into_iter().max_by(|a, b| overlap(a, &wanted).total_cmp(&overlap(b, &wanted)));
                best.filter(|best| overlap(best, &wanted) > 0.0)
            }
        })
    }
}

/// The box of a person who is where it was, and surely.
fn is_same(points: &WholeBody, last: &PersonBox) -> Option<PersonBox> {
    let body = points.body();
    let sure = body.iter().map(|point| point.score).sum::<f64>() / body.len() as f64 >= SURE;
    PersonBox::of(points).filter(|own| sure && own.iou(last) >= SAME)
}

fn mask(networks: &mut Networks, frame: &RgbImage, pose: &Pose) -> Result<GrayImage> {
    if PersonBox::of(&pose.points).is_none() {
        return Ok(GrayImage::new(frame.width(), frame.height()));
    }
    match (&mut networks.masks, &pose.mask) {
        (Masks::Frame(segmenter), _) => segmenter.mask(frame, &pose.points),
        (_, Some(mask)) => Ok(mask.clone()),
        (_, None) => Err(Error::Input("no network makes masks: give one, or a mask".into())),
    }
}

/// As Wan2.2's own preprocessing chooses: the largest area, but none that is short beside the longest.
fn largest(persons: &[Person]) -> Option<Person> {
    const SHORT: f64 = 0.4;
    let longer = |person: &Person| person.bounds.width().max(person.bounds.height());
    let longest = persons.iter().map(longer).fold(0.0, f64::max);
    let long = persons.iter().filter(|person| longer(person) >= SHORT * longest);
    long.max_by(|a, b| a.bounds.area().total_cmp(&b.bounds.area())).copied()
}

/// From a place to a box; within it less than 0, and least in its middle.
fn distance(of: &PersonBox, (x, y): (f64, f64)) -> f64 {
    let (dx, dy) = ((of.x1 - x).max(x - of.x2), (of.y1 - y).max(y - of.y2));
    if dx <= 0.0 && dy <= 0.0 { dx.max(dy) } else { dx.max(0.0).hypot(dy.max(0.0)) }
}
