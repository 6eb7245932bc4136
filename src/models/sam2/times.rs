//! Numbers that tell when and where something was that is remembered.

use crate::error::Result;
use crate::gpu::Tensor;
use crate::layers::Loader;
use crate::models::sam2::{config::Config, positions};

/// Frames before the one at hand whose places are remembered.
pub const RECENT: usize = 6;

/// Frames, with the one at hand, whose objects are remembered.
pub const OBJECTS: usize = 16;

/// Where in a frame memories are, and how long ago that was.
#[derive(Debug)]
pub struct Times {
    hidden: usize,
    memory: usize,
    /// [H * W, memory] each: of frames one to six before, and of those that were prompted.
    places: Vec<Tensor>,
    /// Of 2.1: a layer from the sines of a time, [memory, hidden] and `[memory]`.
    of_objects: Option<[Vec<f32>; 2]>,
}

impl Times {
    /// From `maskmem_tpos_enc`, and in 2.1 from `obj_ptr_tpos_proj.`
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let (hidden, memory, side) = (config.hidden_size, config.memory_dim, config.image_side());
        let times = loader.values("maskmem_tpos_enc", &[RECENT + 1, 1, 1, memory])?;
        let place = |age: usize| {
            let read = || {
                let (times, sines) = (times()?, positions::sine(memory, side));
                Ok(sines.iter().enumerate().map(|(i, sine)| sine + times[age * memory + i % memory]).collect())
            };
            loader.upload("maskmem_tpos_enc", &[side * side, memory], &read)
        };
        let projection = loader.scope("obj_ptr_tpos_proj");
        let of_objects = match projection.contains("weight") {
            true => Some([projection.values("weight", &[memory, hidden])?()?, projection.values("bias", &[memory])?()?]),
            false => None,
        };
        Ok(Self { hidden, memory, places: (0..=RECENT).map(place).collect::<Result<_>>()?, of_objects })
    }

    /// Of a frame so many frames before, 1 to 6; of a prompted one, whenever it was, where there is no number.
    pub fn place(&self, age: Option<usize>) -> &Tensor {
        &self.places[age.map_or(RECENT, |age| age - 1)]
    }

    /// Of objects of so many frames before, in a video of `num_frames`: as many rows [hidden / memory, memory] for each.
    pub fn objects(&self, ages: &[usize], num_frames: usize) -> Vec<f32> {
        let longest = num_frames.clamp(2, OBJECTS) - 1;
        let time = |&age: &usize| self.object(age as f64 / longest as f64).repeat(self.hidden / self.memory);
        ages.iter().flat_map(time).collect()
    }

    fn object(&self, time: f64) -> Vec<f32> {
        let Some([weight, bias]) = &self.of_objects else { return vec![0.0; self.memory] };
        let sines = positions::time(self.hidden, time);
        let row = |(weight, bias): (&[f32], &f32)| {
            let sum: f64 = weight.iter().zip(&sines).map(|(weight, sine)| f64::from(*weight) * sine).sum();
            (sum + f64::from(*bias)) as f32
        };
        weight.chunks(self.hidden).zip(bias).map(row).collect()
    }
}
