//! What a run keeps to go on from if it is cut off: its state, and beside it the frames that are finished.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use wan_animate::video::Frame;
use wan_animate::{Error, Generation, Result, State};

/// The state in a file of its own, the frames' samples in `FILE.frames` as they are, so that any output can be made of them again.
pub struct Kept<'a> {
    path: &'a Path,
    frames_path: PathBuf,
    frames: BufWriter<File>,
}

impl<'a> Kept<'a> {
    /// Begins to keep what `generation` makes, behind those frames that had left when its state was saved.
    pub fn open(path: &'a Path, generation: &Generation) -> Result<Self> {
        let mut frames_path = path.as_os_str().to_owned();
        frames_path.push(".frames");
        let frames_path = PathBuf::from(frames_path);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&frames_path).map_err(io(&frames_path))?;
        let wanted = generation.state().frames() as u64 * frame_bytes(generation) as u64;
        if file.metadata().map_err(io(&frames_path))?.len() < wanted {
            let message = "lacks frames that the state says were finished; remove the state to start anew";
            return Err(Error::Input(format!("{}: {message}", frames_path.display())));
        }
        // Frames that the state does not know of are made again.
        file.set_len(wanted).map_err(io(&frames_path))?;
        Ok(Self { path, frames_path, frames: BufWriter::new(file) })
    }

    /// Gives `take` the frames that were finished before.
    pub fn replay(&mut self, generation: &Generation, mut take: impl FnMut(Frame) -> Result<()>) -> Result<()> {
        let (width, height) = generation.size();
        let mut bytes = vec![0; frame_bytes(generation)];
        let file = self.frames.get_mut();
        file.seek(SeekFrom::Start(0)).map_err(io(&self.frames_path))?;
        for _ in 0..generation.state().frames() {
            file.read_exact(&mut bytes).map_err(io(&self.frames_path))?;
            let samples = bytes.as_chunks().0.iter().map(|&sample| f32::from_le_bytes(sample)).collect();
            take(Frame::new(width, height, samples)?)?;
        }
        Ok(())
    }

    pub fn add(&mut self, frame: &Frame) -> Result<()> {
        let bytes: Vec<u8> = frame.samples().iter().flat_map(|sample| sample.to_le_bytes()).collect();
        self.frames.write_all(&bytes).map_err(io(&self.frames_path))
    }

    /// Frames first, so that no state tells of frames that are not there.
    pub fn save(&mut self, state: &State) -> Result<()> {
        self.frames.flush().and_then(|()| self.frames.get_ref().sync_data()).map_err(io(&self.frames_path))?;
        state.save(self.path)
    }

    /// Leaves nothing behind.
    pub fn remove(self) -> Result<()> {
        // There is no state yet where there was no step.
        if self.path.exists() {
            fs::remove_file(self.path).map_err(io(self.path))?;
        }
        fs::remove_file(&self.frames_path).map_err(io(&self.frames_path))
    }
}

fn frame_bytes(generation: &Generation) -> usize {
    let (width, height) = generation.size();
    width as usize * height as usize * 3 * size_of::<f32>()
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
    move |error| Error::Io { path: path.into(), error }
}
