//! Where a generation begins: anew, or where a saved state says.

use std::sync::Arc;

use crate::driving::Findings;
use crate::error::{Error, Result};
use crate::pipelines::run::state::{Denoised, Position, State};
use crate::pipelines::run::{canvas::Canvas, course::Course, description::Description, reuse, settings::Settings};
use crate::schedulers::LATENTS;

/// The state to go on from.
///
/// # Errors
/// [`Error::Input`] where the saved one is of another request, or is none that this one can have.
pub(crate) fn begin(settings: &Settings, course: &Course, canvas: &Canvas, description: Description) -> Result<State> {
    let Some(saved) = &settings.resume else {
        let (request, position) = (Arc::new(description), Arc::new(settings.start(0)));
        return Ok(State { request, position, frames: 0, findings: Findings::default() });
    };
    description.check(&saved.request)?;
    check(saved, settings, course, canvas)?;
    Ok(saved.clone())
}

/// Whether a state of the same request is one that it can have.
fn check(state: &State, settings: &Settings, Course { plan, steps, .. }: &Course, canvas: &Canvas) -> Result<()> {
    let Position { video, segment, denoised, carried, .. } = &*state.position;
    let segments = &canvas.segments;
    let (width, height) = canvas.size;
    let carried_values = segments.carried(*segment) * width * height * 3;
    let latents: usize = canvas.latents.iter().product();
    let fits = |denoised: &Denoised| {
        let whole = denoised.slots.iter().flatten().all(|slot| slot.len() == latents);
        let reused = &denoised.reused;
        let is_reused = reused.decided.len() == denoised.done && reused.decided.len() <= steps.count();
        let Some(further) = is_reused.then(|| reuse::count_of_tensors(steps, reused)).flatten() else { return false };
        let slots = plan.slots + further;
        let has_all = denoised.slots.len() == slots && denoised.slots.iter().skip(plan.slots).all(Option::is_some);
        denoised.done <= plan.evaluations.len() && has_all && denoised.slots[LATENTS].is_some() && whole
    };
    if *video >= settings.num_videos
        || *segment >= segments.count()
        || carried.as_ref().map_or(0, |values| values.len()) != carried_values
        || !denoised.as_ref().is_none_or(fits)
    {
        return Err(Error::Input("the saved state is damaged: its parts do not fit each other; start anew without it".into()));
    }
    let first = video * segments.frames() + segments.first_frame(*segment);
    let end = first + segments.new_frames(*segment);
    if !(first..=end).contains(&state.frames) {
        let message = format!("the saved state can go on from one of the frames {first} to {end}, not from {}", state.frames);
        return Err(Error::Input(message));
    }
    Ok(())
}
