//! What a generation is about to tell.

use std::sync::Arc;

use crate::error::Result;
use crate::gpu::Download;
use crate::pipelines::run::event::Event;
use crate::pipelines::run::state::{Denoised, Position, Reused};

/// What is to be told, in order; a position is reached once all before it has been told.
pub(super) enum Queued {
    Event(Event),
    Position(Arc<Position>),
    Step(Box<Reached>),
}

/// A position after a step, whose latents are on their way to the host while the next step begins.
pub(super) struct Reached {
    pub(super) position: Position,
    pub(super) done: usize,
    pub(super) reused: Reused,
    pub(super) slots: Vec<Option<Download>>,
}

impl Reached {
    /// Waits for the latents.
    pub(super) fn position(&self) -> Result<Position> {
        let slots = self.slots.iter().map(|slot| slot.as_ref().map(Download::wait).transpose()).collect::<Result<_>>()?;
        Ok(Position { denoised: Some(Denoised { done: self.done, slots, reused: self.reused.clone() }), ..self.position.clone() })
    }
}
