//! What a request's cache comes to, and what speaks against having one.

use crate::cache::{mask::Moment, method::CacheMethod, settings::Cache, steps::Model, steps::Steps};
use crate::error::Result;
use crate::pipelines::checkpoint::{expert::Expert, transformer::Transformer};
use crate::pipelines::request::{pipeline::Pipeline, task::Task};
use crate::pipelines::run::{calibration::Calibration, course::Course, job::Job, settings::Settings};
use crate::schedulers::{Evaluation, SolverPlan, Term};

/// Runs of no more evaluations leave next to nothing to reuse.
const FEW: usize = 12;

/// What names of LoRAs have in them that distil to few steps.
const DISTILLED: [&str; 8] = ["lightx2v", "distill", "lightning", "causvid", "fusionx", "accvid", "turbo", "4step"];

/// What is done of a plan's evaluations.
pub(super) fn course<T: Task>(settings: &Settings, task: &T, pixels: usize, plan: SolverPlan, job: &dyn Job) -> Result<Course> {
    let expert = |timestep| job.expert(timestep).unwrap_or(Expert::HighNoise);
    let moment = |e: &Evaluation| Moment { sigma: e.sigma, expert: expert(e.timestep) as usize, change: 0.0 };
    let moments: Vec<Moment> = plan.evaluations.iter().map(moment).collect();
    if settings.calibrate {
        let calibration = Calibration::new(moments)?;
        return Ok(Course { plan, steps: Steps::measured(calibration.moments()), calibration: Some(calibration) });
    }
    let steps = match &settings.cache {
        Some(cache) => steps(cache, task, pixels, &plan, moments)?,
        None => Steps::all(plan.evaluations.len()),
    };
    Ok(Course { plan, steps, calibration: None })
}

/// Which evaluations of a plan are computed.
fn steps<T: Task>(cache: &Cache, task: &T, pixels: usize, plan: &SolverPlan, mut moments: Vec<Moment>) -> Result<Steps> {
    let transformer = &task.pipeline().parts().transformer;
    if let CacheMethod::Tea { .. } = cache.method {
        for expert in [Expert::HighNoise, Expert::LowNoise] {
            let own: Vec<usize> = (0..moments.len()).filter(|&i| moments[i].expert == expert as usize).collect();
            let timesteps: Vec<f64> = own.iter().map(|&i| plan.evaluations[i].timestep).collect();
            let changes = changes(&transformer.time_embeddings(expert, &timesteps)?);
            own.into_iter().zip(changes).for_each(|(i, change)| moments[i].change = change);
        }
    }
    let kin = |expert: usize| task.kin(pixels, if expert == 0 { Expert::HighNoise } else { Expert::LowNoise });
    Steps::plan(cache, &moments, &Model { kin: &kin, layers: transformer.config().num_layers })
}

/// Of each embedding from the one before, in parts of that; none of the first.
fn changes(embeddings: &[Vec<f32>]) -> Vec<f64> {
    let size = |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value.abs())).sum::<f64>();
    let change = |pair: &[Vec<f32>]| {
        let difference = size(&mut pair[1].iter().zip(&pair[0]).map(|(new, old)| new - old));
        difference / size(&mut pair[0].iter().copied())
    };
    std::iter::once(0.0).chain(embeddings.windows(2).map(change)).take(embeddings.len()).collect()
}

/// Why the cache may do harm here.
pub(super) fn warnings<T: Task>(cache: Option<&Cache>, task: &T, plan: &SolverPlan) -> Vec<String> {
    let Some(cache) = cache else { return Vec::new() };
    let mut warnings = Vec::new();
    let mut warn = |why: String| warnings.push(format!("the cache `{}`: {why}", cache.method));
    let count = plan.evaluations.len();
    if count <= FEW {
        warn(format!("in {count} evaluations each changes too much for another to be reused; caches are for runs of more than {FEW}"));
    }
    let updates = plan.evaluations.iter().flat_map(|evaluation| &evaluation.updates);
    if updates.flat_map(|update| &update.terms).any(|(term, _)| *term == Term::Noise) {
        warn("the solver adds fresh noise in each step, which what is reused has not seen; take one without noise, such as unipc".into());
    }
    for name in task.pipeline().dry_pipeline().lora_names() {
        if is_distilled(&name) {
            warn(format!("the LoRA `{name}` seems to distil the model to a few steps, all of which it needs"));
        }
    }
    warnings
}

/// Whether a LoRA of this name distils to few steps.
fn is_distilled(name: &str) -> bool {
    let lower = name.to_lowercase();
    DISTILLED.iter().any(|sign| lower.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loras_that_distil_are_told_by_their_names() {
        for name in [
            "Wan21_I2V_14B_lightx2v_cfg_step_distill_lora_rank64.safetensors",
            "wan2.2_i2v_lightx2v_4steps_lora_v1_high_noise",
            "Wan21_CausVid",
        ] {
            assert!(is_distilled(name), "{name}");
        }
        // As trainers name what they save.
        for name in ["my_character-step00002000.safetensors", "WanAnimate_relight_lora_fp16", "epoch10_step500"] {
            assert!(!is_distilled(name), "{name}");
        }
    }

    #[test]
    fn changes_are_relative_to_what_was_before() {
        assert_eq!(changes(&[vec![1.0, -3.0], vec![2.0, -2.0], vec![2.0, -2.0]]), [0.0, 0.5, 0.0]);
        assert_eq!(changes(&[]), [0.0; 0]);
    }
}
