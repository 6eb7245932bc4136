//! Whatever the program `ffmpeg` reads, as raw frames from a child process.
//!
//! A first pass tells every frame's time and checksum; frames are read in a second one, and each must have its checksum, so that a jump
//! that lands beside its frame is seen. A child ends with its reader, and with the process, whose closed pipe it notices.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use image::RgbImage;

use super::sequential::{Decode, Sequential, VideoInfo};
use super::source::Frames;
use super::timing::Timing;
use crate::location::Location;
use crate::{Error, Result};

/// What converts a video to one that is read without the program.
pub(super) const VIDEO: &str = "ffmpeg -i IN -c:v libx264 -crf 12 -pix_fmt yuv420p OUT.mp4";
/// The same for a picture.
pub(super) const PICTURE: &str = "ffmpeg -i IN OUT.png";

/// How far apart the frames are that a jump starts at: a start costs a process.
const ENTRY_FRAMES: usize = 64;

/// Every frame as it is, with no rate forced on it: the name of the option before ffmpeg 5.1, and since.
const PASS_THROUGH: [&str; 2] = ["-fps_mode", "-vsync"];

/// Opens a file that is not read without the program, for a `reason`; `convert` is the command that makes one that is.
///
/// # Errors
/// [`Error::Unsupported`] where the program may not be used (feature `ffmpeg`) or is not there, [`Error::Input`] where it cannot read the
/// file either.
pub(super) fn open(file: &Location, reason: &str, convert: &str) -> Result<Frames> {
    let path = file.path();
    let unsupported = |advice: String| Error::Unsupported(format!("{}: {reason}; {advice}", path.display()));
    if !cfg!(feature = "ffmpeg") {
        return Err(unsupported(format!("convert it, for example with `{convert}`, or build the crate with its feature `ffmpeg`")));
    }
    if file.on_disk().is_none() {
        return Err(unsupported(format!("save it to a file, which the program `ffmpeg` can read, or convert it with `{convert}`")));
    }
    let mut failure = None;
    for pass_through in PASS_THROUGH {
        match Index::read(path, pass_through) {
            Ok(index) => return Frames::new(Sequential::new(index.info()?, Reader::new(path, pass_through, index))),
            Err(Failure::NoProgram) => {
                let advice = format!("install the program `ffmpeg`, so that it is read through it, or convert it with `{convert}`");
                return Err(unsupported(advice));
            }
            Err(Failure::NoOption) => {}
            Err(Failure::Refused(message)) => {
                failure = Some(message);
                break;
            }
        }
    }
    let message = failure.unwrap_or_else(|| "it is too old or too new".into());
    Err(Error::Input(format!("{}: {reason}, and the program `ffmpeg` cannot read it either: {message}", path.display())))
}

/// Why the program did not do what it should.
enum Failure {
    NoProgram,
    NoOption,
    Refused(String),
}

/// The command that reads `path` from a time on, up to its output's format. Nothing but that file is opened.
fn command(path: &Path, pass_through: &str, from: Option<f64>) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-xerror"]);
    if let Some(seconds) = from {
        command.args(["-ss", &format!("{seconds:.6}")]);
    }
    // A name such as `-y` or `http:..` is a file's name too.
    let mut file = OsString::from("file:");
    file.push(path);
    command.args(["-protocol_whitelist", "file", "-i"]).arg(file);
    command.args(["-an", "-sn", "-dn", pass_through, "passthrough", "-pix_fmt", "rgb24", "-sws_flags", "bicubic"]);
    command
}

/// The frames of a file.
struct Index {
    size: (u32, u32),
    /// When each is shown, and the last one ends.
    ticks: Vec<i64>,
    /// Ticks a second.
    timescale: f64,
    checksums: Vec<u32>,
}

impl Index {
    fn read(path: &Path, pass_through: &str) -> Result<Self, Failure> {
        let refused = |e: io::Error| match e.kind() {
            io::ErrorKind::NotFound => Failure::NoProgram,
            _ => Failure::Refused(e.to_string()),
        };
        let Output { status, stdout, stderr } =
            command(path, pass_through, None).args(["-f", "framecrc", "-"]).stdin(Stdio::null()).output().map_err(refused)?;
        let said = String::from_utf8_lossy(&stderr);
        if !status.success() {
            if said.contains("Unrecognized option") {
                return Err(Failure::NoOption);
            }
            return Err(Failure::Refused(said.lines().last().unwrap_or("it says nothing").trim().to_string()));
        }
        Self::parse(&String::from_utf8_lossy(&stdout)).ok_or_else(|| Failure::Refused("it finds no frame".into()))
    }

    /// The lines of `-f framecrc`: comments, and for each frame stream, time of decoding, time, duration, size and checksum.
    fn parse(text: &str) -> Option<Self> {
        let comment = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let (ticks_of, per) = comment("#tb 0:")?.split_once('/')?;
        let timescale = per.parse::<f64>().ok()? / ticks_of.parse::<f64>().ok()?;
        let (width, height) = comment("#dimensions 0:")?.split_once('x')?;
        let size = (width.parse().ok()?, height.parse().ok()?);
        let (mut ticks, mut checksums, mut duration) = (Vec::<i64>::new(), Vec::new(), 0);
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut fields = line.split(',').map(str::trim);
            ticks.push(fields.nth(2)?.parse().ok()?);
            duration = fields.next()?.parse::<i64>().ok()?;
            checksums.push(u32::from_str_radix(fields.nth(1)?.strip_prefix("0x")?, 16).ok()?);
        }
        let (&first, &last) = (ticks.first()?, ticks.last()?);
        // Not every container says how long its last frame is shown.
        let mean = last.saturating_sub(first) / (ticks.len() as i64 - 1).max(1);
        ticks.push(last.saturating_add(if duration > 0 { duration } else { mean }));
        Some(Self { size, ticks, timescale, checksums })
    }

    fn info(&self) -> Result<VideoInfo> {
        let timing = Timing::new(&self.ticks, self.timescale, None);
        Ok(VideoInfo { num_frames: self.checksums.len(), size: self.size, timing })
    }

    /// A time between that of a frame and the one before, in seconds.
    fn before(&self, frame: usize) -> f64 {
        (self.ticks[frame - 1] as f64 + self.ticks[frame] as f64) / 2.0 / self.timescale
    }
}

/// Reads frames from a child process that is started at the frame asked for.
struct Reader {
    path: PathBuf,
    pass_through: &'static str,
    index: Index,
    child: Option<Running>,
    next: usize,
}

impl Reader {
    fn new(path: &Path, pass_through: &'static str, index: Index) -> Self {
        Self { path: path.into(), pass_through, index, child: None, next: 0 }
    }

    /// The next frame of a child that starts at the frame that is next, or at the beginning.
    fn start(&mut self, at_next: bool) -> io::Result<RgbImage> {
        let skipped = if at_next { 0 } else { self.next };
        let from = (at_next && self.next > 0).then(|| self.index.before(self.next));
        self.child = Some(Running::start(command(&self.path, self.pass_through, from))?);
        for frame in self.next - skipped..self.next {
            self.take(frame)?;
        }
        self.take(self.next)
    }

    /// The child's next frame, if it is that `frame`.
    fn take(&mut self, frame: usize) -> io::Result<RgbImage> {
        let (width, height) = self.index.size;
        let mut samples = vec![0; width as usize * height as usize * 3];
        let child = self.child.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        child.frames.read_exact(&mut samples)?;
        if adler(&samples) != self.index.checksums[frame] {
            return Err(io::ErrorKind::InvalidData.into());
        }
        RgbImage::from_raw(width, height, samples).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

impl Decode for Reader {
    fn entry(&self, index: usize) -> usize {
        index / ENTRY_FRAMES * ENTRY_FRAMES
    }

    fn seek(&mut self, entry: usize) -> Result<()> {
        self.child = None;
        self.next = entry;
        Ok(())
    }

    fn next(&mut self) -> Result<RgbImage> {
        let frame = match self.child {
            Some(_) => self.take(self.next),
            // Not every container can be entered everywhere.
            None => self.start(true).or_else(|_| self.start(false)),
        };
        let changed = |_| {
            let message = "frame {} does not come from the program `ffmpeg` as when the file was opened; has the file changed?";
            Error::Input(format!("{}: {}", self.path.display(), message.replace("{}", &self.next.to_string())))
        };
        let frame = frame.map_err(changed)?;
        self.next += 1;
        Ok(frame)
    }
}

/// A child process that writes frames, which does not outlive this.
struct Running {
    child: Child,
    frames: ChildStdout,
}

impl Running {
    fn start(mut command: Command) -> io::Result<Self> {
        command.args(["-f", "rawvideo", "-"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let frames = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { child, frames })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Adler's checksum, begun with 0 as `-f framecrc` does.
fn adler(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (mut a, mut b) = (0, 0);
    // So many bytes at once overflow no sum.
    for chunk in bytes.chunks(5552) {
        for &byte in chunk {
            a += u32::from(byte);
            b += a;
        }
        a %= MODULUS;
        b %= MODULUS;
    }
    b << 16 | a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_parsed() {
        let text = "#software: Lavf59.27.100\n#tb 0: 1/15360\n#media_type 0: video\n#codec_id 0: rawvideo\n#dimensions 0: 16x8\n#sar 0: 0/1\n\
            0,          0,          0,      512,      384, 0x0a22a91f\n0,        512,        512,      512,      384, 0xffffffff\n";
        let index = Index::parse(text).expect("an index");
        assert_eq!((index.size, index.timescale), ((16, 8), 15_360.0));
        assert_eq!((index.ticks, index.checksums), (vec![0, 512, 1024], vec![0x0a22_a91f, u32::MAX]));
        for length in 0..text.len() - 1 {
            // Cut anywhere: fewer frames or none.
            let _ = Index::parse(&text[..length]);
        }
        assert!(Index::parse("#tb 0: 1/25\n#dimensions 0: 2x2\n").is_none(), "no frame");
    }

    /// Of RFC 1950 but for the start, which adds 1 to the lower half and the length to the upper.
    #[test]
    fn checksums_are_those_of_framecrc() {
        assert_eq!(adler(b"Wikipedia"), 0x11e6_0398 - (9 << 16) - 1);
        assert_eq!(adler(&[255; 100_000]), {
            let (mut a, mut b) = (0u64, 0u64);
            (0..100_000).for_each(|_| (a, b) = ((a + 255) % 65_521, (a + 255 + b) % 65_521));
            (b << 16 | a) as u32
        });
    }
}
