//! Which layers of a model are on the GPU now.
//!
//! A [`Stack`] is a model's layers in a row. The first of them stay on the GPU, as many as it was told to [keep](Stack::keep); each
//! of the others is copied from the mapped file for every pass, to a slot that the layer before the one at work has left. The copy
//! of the next layer is recorded before the work of this one, so that the host gathers it while the GPU is busy, and the order of
//! commands alone makes it safe. A layer is the same bytes either way, so the result is too, bit for bit.
//!
//! Where host and GPU share memory, layers are copied too, though wgpu (30) could map storage buffers there
//! (`Features::MAPPABLE_PRIMARY_BUFFERS`). It would save the copy from staging memory, not the one from the file, whose pages wgpu cannot
//! bind. For it, a slot could be written only when the GPU has done with it, because wgpu allows no submission with a mapped buffer; so the
//! host would wait where now the order of commands is enough. And the feature is for the whole device: it is up to drivers whether
//! such a buffer lies where the GPU reads it fast.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::gpu::{Device, Recorder, Sink};
use crate::layers::{Loader, Precision};
use crate::weights::Weights;

/// Loads the layer of a number from a loader of the whole checkpoint.
type Load<B> = dyn Fn(&Loader, usize) -> Result<B> + Send + Sync;

/// A model's layers in a row. See the module.
pub struct Stack<B> {
    layers: Vec<Place<B>>,
    resident: AtomicUsize,
    source: Option<Source<B>>,
}

struct Place<B> {
    layer: Mutex<Option<Arc<B>>>,
    /// Whether it was loaded before, and so found to be without NaN.
    seen: AtomicBool,
}

struct Source<B> {
    weights: Arc<Weights>,
    precision: Precision,
    load: Box<Load<B>>,
}

impl<B> Stack<B> {
    /// All layers, loaded to stay.
    pub fn load(loader: &Loader, count: usize, load: impl Fn(&Loader, usize) -> Result<B>) -> Result<Self> {
        let layer = |i| Ok(Place { layer: Mutex::new(Some(Arc::new(load(loader, i)?))), seen: AtomicBool::new(true) });
        Ok(Self { layers: (0..count).map(layer).collect::<Result<_>>()?, resident: AtomicUsize::new(count), source: None })
    }

    /// Layers that are loaded when a pass needs them. None is kept yet.
    pub fn open(
        weights: &Arc<Weights>,
        precision: Precision,
        count: usize,
        load: impl Fn(&Loader, usize) -> Result<B> + Send + Sync + 'static,
    ) -> Self {
        let layer = |_| Place { layer: Mutex::new(None), seen: AtomicBool::new(false) };
        let source = Source { weights: weights.clone(), precision, load: Box::new(load) };
        Self { layers: (0..count).map(layer).collect(), resident: AtomicUsize::new(0), source: Some(source) }
    }

    /// How many layers there are.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// How many layers are to stay on the GPU.
    pub fn resident(&self) -> usize {
        self.resident.load(Ordering::Relaxed)
    }

    /// From now on the first `count` layers stay on the GPU once they are there; others that were kept leave. Layers that were
    /// [loaded](Stack::load) to stay do so.
    pub fn keep(&self, count: usize) {
        if self.source.is_none() {
            return;
        }
        self.resident.store(count.min(self.len()), Ordering::Relaxed);
        for place in self.layers.iter().skip(count) {
            *place.layer.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Loads the first `count` layers to stay.
    ///
    /// # Errors
    /// Those of loading.
    pub fn fill(&self, device: &Device, count: usize) -> Result<()> {
        self.keep(count);
        let Some(source) = &self.source else { return Ok(()) };
        for (i, place) in self.layers.iter().enumerate().take(count) {
            let loader = Loader::new(device, &source.weights, source.precision);
            *place.layer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new((source.load)(&loader, i)?));
            place.seen.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Bytes of each layer, by loading it on a [dry](Device::dry) device. None where the layers have no source.
    ///
    /// # Errors
    /// Those of loading.
    pub fn sizes(&self, dry: &Device) -> Result<Vec<u64>> {
        let Some(source) = &self.source else { return Ok(Vec::new()) };
        let size = |number| {
            let before = dry.memory_use().current;
            let layer = (source.load)(&Loader::new(dry, &source.weights, source.precision), number)?;
            let bytes = dry.memory_use().current - before;
            drop(layer);
            Ok(bytes)
        };
        (0..self.len()).map(size).collect()
    }

    /// Runs `work` with each layer in order.
    ///
    /// # Errors
    /// Those of `work` and of loading.
    pub fn pass(&self, rec: &mut Recorder, mut work: impl FnMut(&mut Recorder, usize, &B) -> Result<()>) -> Result<()> {
        let mut next = if self.is_empty() { None } else { Some(self.get(rec, 0)?) };
        let mut number = 0;
        while let Some(layer) = next.take() {
            if number + 1 < self.len() {
                next = Some(self.get(rec, number + 1)?);
            }
            work(rec, number, &layer)?;
            number += 1;
        }
        Ok(())
    }

    fn get(&self, rec: &mut Recorder, number: usize) -> Result<Arc<B>> {
        let place = &self.layers[number];
        let mut layer = place.layer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(layer) = &*layer {
            return Ok(layer.clone());
        }
        let source = self.source.as_ref().expect("layers without a source are loaded to stay");
        let stays = number < self.resident();
        let (device, slots) = (rec.device().clone(), RefCell::new(rec));
        let sink: &dyn Sink = if stays { &device } else { &slots };
        let loader = Loader::new(sink, &source.weights, source.precision);
        let loader = if place.seen.load(Ordering::Relaxed) { loader.trusting() } else { loader };
        let loaded = Arc::new((source.load)(&loader, number)?);
        place.seen.store(true, Ordering::Relaxed);
        if stays {
            *layer = Some(loaded.clone());
        }
        Ok(loaded)
    }
}

impl<B> fmt::Debug for Stack<B> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Stack").field("layers", &self.len()).field("resident", &self.resident()).finish_non_exhaustive()
    }
}
