//! Which layers of a model are on the GPU now.
//!
//! A [`Stack`] is a model's layers in a row. The first of them stay on the GPU, as many as a [claim](Stack::claim) says; each
//! of the others is copied from the mapped file for every pass, to a slot that the layer before the one at work has left. The copy
//! of the next layer is recorded before the work of this one, so that the host gathers it while the GPU is busy, and the order of
//! commands alone makes it safe. A layer is the same bytes either way, so the result is too, bit for bit.
//!
//! Layers that stay are shared by all who use the model: those that stay for one are there for the others too.
//!
//! Where host and GPU share memory, layers are copied too, though wgpu (30) could map storage buffers there
//! (`Features::MAPPABLE_PRIMARY_BUFFERS`). It would save the copy from staging memory, not the one from the file, whose pages wgpu cannot
//! bind. For it, a slot could be written only when the GPU has done with it, because wgpu allows no submission with a mapped buffer; so the
//! host would wait where now the order of commands is enough. And the feature is for the whole device: it is up to drivers whether
//! such a buffer lies where the GPU reads it fast.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Result;
use crate::gpu::{Device, Recorder, Sink};
use crate::layers::{Loader, Precision, shelf::Claim, shelf::Shelf};
use crate::weights::Weights;

/// Loads the layer of a number from a loader of the whole checkpoint.
type Load<B> = dyn Fn(&Loader, usize) -> Result<B> + Send + Sync;

/// A model's layers in a row. See the module.
pub struct Stack<B> {
    layers: Arc<Shelf<B>>,
    /// None where all layers were loaded to stay.
    source: Option<Source<B>>,
}

struct Source<B> {
    weights: Arc<Weights>,
    precision: Precision,
    load: Box<Load<B>>,
    /// Which layers were loaded before, and so found to be without NaN.
    seen: Vec<AtomicBool>,
}

impl<B> Stack<B> {
    /// All layers, loaded to stay.
    pub fn load(loader: &Loader, count: usize, load: impl Fn(&Loader, usize) -> Result<B>) -> Result<Self> {
        let layers = Shelf::new(count);
        for number in 0..count {
            *layers.place(number) = Some(Arc::new(load(loader, number)?));
        }
        Ok(Self { layers: Arc::new(layers), source: None })
    }

    /// Layers that are loaded when a pass needs them.
    pub fn open(
        weights: &Arc<Weights>,
        precision: Precision,
        count: usize,
        load: impl Fn(&Loader, usize) -> Result<B> + Send + Sync + 'static,
    ) -> Self {
        let seen = (0..count).map(|_| AtomicBool::new(false)).collect();
        let source = Source { weights: weights.clone(), precision, load: Box::new(load), seen };
        Self { layers: Arc::new(Shelf::new(count)), source: Some(source) }
    }

    /// The numbers of all layers.
    pub fn all(&self) -> Range<usize> {
        0..self.layers.len()
    }

    /// What layers are loaded from; none where they were loaded to stay.
    pub fn weights(&self) -> Option<&Arc<Weights>> {
        self.source.as_ref().map(|source| &source.weights)
    }

    /// Says for one user which layers stay on the GPU: none, until it is [set](Claim::set). Layers that were [loaded](Stack::load) to
    /// stay do so in either case.
    pub fn claim(&self) -> Claim<B> {
        match self.source {
            Some(_) => self.layers.claim(),
            // Of a shelf without places, so that none of them leaves.
            None => Arc::new(Shelf::new(0)).claim(),
        }
    }

    /// Loads the first `count` layers to stay until a claim says otherwise; others leave, but for claimed ones.
    ///
    /// # Errors
    /// Those of loading.
    pub fn fill(&self, sink: &dyn Sink, count: usize) -> Result<()> {
        let Some(source) = &self.source else { return Ok(()) };
        let count = count.min(self.layers.len());
        self.layers.clear_but(0..count);
        for number in 0..count {
            let mut place = self.layers.place(number);
            if place.is_none() {
                *place = Some(source.read(sink, number)?);
            }
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
            let layer = (source.load)(&source.loader(dry), number)?;
            let bytes = dry.memory_use().current - before;
            drop(layer);
            Ok(bytes)
        };
        self.all().map(size).collect()
    }

    /// Runs `work` with each layer of `range` in order. Nothing of a layer after the range is loaded.
    ///
    /// # Errors
    /// Those of `work` and of loading.
    pub fn pass(
        &self,
        rec: &mut Recorder,
        claim: &Claim<B>,
        range: Range<usize>,
        mut work: impl FnMut(&mut Recorder, usize, &B) -> Result<()>,
    ) -> Result<()> {
        let mut next = if range.is_empty() { None } else { Some(self.get(rec, claim, range.start)?) };
        for number in range.clone() {
            let layer = next.take();
            if number + 1 < range.end {
                next = Some(self.get(rec, claim, number + 1)?);
            }
            layer.map_or(Ok(()), |layer| work(rec, number, &layer))?;
        }
        Ok(())
    }

    fn get(&self, rec: &mut Recorder, claim: &Claim<B>, number: usize) -> Result<Arc<B>> {
        let mut place = self.layers.place(number);
        if let Some(layer) = &*place {
            return Ok(layer.clone());
        }
        let source = self.source.as_ref().expect("layers without a source are loaded to stay");
        if !claim.contains(number) {
            drop(place);
            return source.read(&RefCell::new(rec), number);
        }
        let layer = source.read(rec.device(), number)?;
        *place = Some(layer.clone());
        Ok(layer)
    }
}

impl<B> Source<B> {
    fn loader<'a>(&'a self, sink: &'a dyn Sink) -> Loader<'a> {
        Loader::new(sink, &self.weights, self.precision)
    }

    fn read(&self, sink: &dyn Sink, number: usize) -> Result<Arc<B>> {
        let loader = self.loader(sink);
        let loader = if self.seen[number].load(Ordering::Relaxed) { loader.trusting() } else { loader };
        let layer = Arc::new((self.load)(&loader, number)?);
        self.seen[number].store(true, Ordering::Relaxed);
        Ok(layer)
    }
}

impl<B> fmt::Debug for Stack<B> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Stack").field("layers", &self.all()).finish_non_exhaustive()
    }
}
