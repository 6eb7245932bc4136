//! Reads a checkpoint's `scheduler_config.json`.

use std::path::Path;

use serde_json::{Map, Value};

use super::ancestral::Depth;
use super::config::{NUM_TRAIN_TIMESTEPS, Solver};
use super::deis::Deis;
use super::dpmpp::{self, DpmPp};
use super::sigmas::{FinalSigma, Levels, Rule};
use super::unipc::{self, UniPc};
use super::{Scheduler, SchedulerConfig, Spacing, diffusion};
use crate::{Error, Result};

/// Understands the text of a configuration file; see [`SchedulerConfig::parse`].
pub(super) fn parse(file: &Path, json: &str) -> Result<SchedulerConfig> {
    let map = serde_json::from_str(json).map_err(|error| Error::weights(file, format!("not a JSON object: {error}")))?;
    let fields = Fields { file, map };
    match fields.text("_class_name", "")? {
        "UniPCMultistepScheduler" => uni_pc(&fields),
        "DPMSolverMultistepScheduler" => dpm_solver(&fields),
        "DEISMultistepScheduler" => deis(&fields),
        "FlowMatchEulerDiscreteScheduler" => flow_match_euler(&fields),
        "FlowMatchHeunDiscreteScheduler" => flow_match_heun(&fields),
        "FlowMatchLCMScheduler" => flow_match_lcm(&fields),
        "LTXEulerAncestralRFScheduler" => euler_ancestral(&fields),
        other => Err(fields.unsupported("_class_name", other)),
    }
}

fn uni_pc(fields: &Fields<'_>) -> Result<SchedulerConfig> {
    flow_fields(fields)?;
    fields.require_flag("use_exponential_sigmas", false, false)?;
    fields.require_flag("use_beta_sigmas", false, false)?;
    fields.require_flag("predict_x0", true, true)?;
    fields.require_null("solver_p")?;
    let lower_order_final = fields.flag("lower_order_final", true)?;
    let final_sigma = match fields.text("final_sigmas_type", "zero")? {
        "zero" if !lower_order_final => return Err(fields.unsupported("lower_order_final", "false with final_sigmas_type zero")),
        "zero" => FinalSigma::At(0.0),
        "sigma_min" => FinalSigma::Repeat,
        other => return Err(fields.unsupported("final_sigmas_type", other)),
    };
    let form = match fields.text("solver_type", "bh2")? {
        "bh1" => unipc::Form::Bh1,
        // diffusers takes the names of other classes' solvers for bh2.
        "bh2" | "midpoint" | "heun" | "logrho" => unipc::Form::Bh2,
        other => return Err(fields.unsupported("solver_type", other)),
    };
    let mut levels = fields.levels(Rule::UniPc, "flow_shift", final_sigma)?;
    levels.shift_terminal = fields.shift_terminal()?;
    if fields.flag("use_karras_sigmas", false)? {
        let (most, least) = diffusion::sigma_range(fields)?;
        let most = fields.optional_number("sigma_max")?.unwrap_or(most);
        let least = fields.optional_number("sigma_min")?.unwrap_or(least);
        // diffusers leaves these levels as they are, whatever `flow_shift` and `shift_terminal` say.
        levels = Levels { rule: Rule::UniPcKarras { most, least }, shift: 1.0, shift_terminal: None, ..levels };
    }
    let order = fields.order(3)?;
    let solver = Solver::UniPc(UniPc { order, form, lower_order_final, disable_corrector: fields.indices("disable_corrector")? });
    let scheduler = if order == 3 { Scheduler::UniPc3M } else { Scheduler::UniPc };
    Ok(SchedulerConfig { scheduler, solver, levels, official: false })
}

fn dpm_solver(fields: &Fields<'_>) -> Result<SchedulerConfig> {
    flow_fields(fields)?;
    for field in ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas"] {
        fields.require_flag(field, false, false)?;
    }
    let stochastic = match fields.text("algorithm_type", "dpmsolver++")? {
        "dpmsolver++" | "deis" => false,
        "sde-dpmsolver++" => true,
        other => return Err(fields.unsupported("algorithm_type", other)),
    };
    let final_sigma = match fields.text("final_sigmas_type", "zero")? {
        "zero" => FinalSigma::At(0.0),
        "sigma_min" => FinalSigma::At(diffusion::sigma_range(fields)?.1),
        other => return Err(fields.unsupported("final_sigmas_type", other)),
    };
    let form = match fields.text("solver_type", "midpoint")? {
        "midpoint" | "logrho" | "bh1" | "bh2" => dpmpp::Form::Midpoint,
        "heun" => dpmpp::Form::Heun,
        other => return Err(fields.unsupported("solver_type", other)),
    };
    let solver = DpmPp {
        // Of order 3 with noise, diffusers has another formula than the paper.
        order: fields.order(if stochastic { 2 } else { 3 })?,
        form,
        lower_order_final: fields.flag("lower_order_final", true)?,
        euler_at_final: fields.flag("euler_at_final", false)?,
        stochastic,
    };
    let scheduler = match (stochastic, solver.order) {
        (true, _) => Scheduler::DpmPp2MSde,
        (false, 3) => Scheduler::DpmPp3M,
        (false, _) => Scheduler::DpmPp2M,
    };
    let levels = fields.levels(Rule::DpmSolver, "flow_shift", final_sigma)?;
    Ok(SchedulerConfig { scheduler, solver: Solver::DpmPp(solver), levels, official: false })
}

fn deis(fields: &Fields<'_>) -> Result<SchedulerConfig> {
    flow_fields(fields)?;
    for field in ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"] {
        fields.require_flag(field, false, false)?;
    }
    match fields.text("algorithm_type", "deis")? {
        "deis" | "dpmsolver" | "dpmsolver++" => {}
        other => return Err(fields.unsupported("algorithm_type", other)),
    }
    match fields.text("solver_type", "logrho")? {
        "logrho" | "midpoint" | "heun" | "bh1" | "bh2" => {}
        other => return Err(fields.unsupported("solver_type", other)),
    }
    let solver = Solver::Deis(Deis { order: fields.order(3)?, lower_order_final: fields.flag("lower_order_final", true)? });
    let levels = fields.levels(Rule::DpmSolver, "flow_shift", FinalSigma::Repeat)?;
    Ok(SchedulerConfig { scheduler: Scheduler::Deis, solver, levels, official: false })
}

fn flow_match_euler(fields: &Fields<'_>) -> Result<SchedulerConfig> {
    let levels = flow_match_levels(fields)?;
    Ok(match fields.flag("stochastic_sampling", false)? {
        false => SchedulerConfig { scheduler: Scheduler::Euler, solver: Solver::Euler, levels, official: false },
        true => SchedulerConfig { scheduler: Scheduler::Lcm, solver: Solver::Ancestral(Depth::DATA), levels, official: false },
    })
}

fn flow_match_heun(fields: &Fields<'_>) -> Result<SchedulerConfig> {
    let levels = fields.levels(Rule::FlowMatch, "shift", FinalSigma::At(0.0))?;
    Ok(SchedulerConfig { scheduler: Scheduler::Heun, solver: Solver::Heun, levels, official: false })
}

fn flow_match_lcm(fields: &Fields<'_>) -> Result<SchedulerConfig> {
    fields.require_null("scale_factors")?;
    let levels = flow_match_levels(fields)?;
    Ok(SchedulerConfig { scheduler: Scheduler::Lcm, solver: Solver::Ancestral(Depth::DATA), levels, official: false })
}

fn euler_ancestral(fields: &Fields<'_>) -> Result<SchedulerConfig> {
    let s_noise = fields.number("s_noise", 1.0)?;
    let eta = fields.number("eta", 1.0)?;
    if s_noise != 1.0 {
        return Err(fields.unsupported("s_noise", &s_noise.to_string()));
    }
    if !(0.0..=1.0).contains(&eta) {
        return Err(fields.unsupported("eta", &eta.to_string()));
    }
    let solver = Solver::Ancestral(Depth::Step { eta });
    Ok(SchedulerConfig { scheduler: Scheduler::EulerAncestral, solver, levels: flow_match_levels(fields)?, official: false })
}

/// The levels of the classes that follow `FlowMatchEulerDiscreteScheduler`.
fn flow_match_levels(fields: &Fields<'_>) -> Result<Levels> {
    fields.require_flag("use_dynamic_shifting", false, false)?;
    fields.require_flag("invert_sigmas", false, false)?;
    let mut levels = fields.levels(Rule::FlowMatch, "shift", FinalSigma::At(0.0))?;
    levels.shift_terminal = fields.shift_terminal()?;
    let curves =
        [("use_karras_sigmas", Spacing::Karras), ("use_exponential_sigmas", Spacing::Exponential), ("use_beta_sigmas", Spacing::Beta)];
    for (field, spacing) in curves {
        if !fields.flag(field, false)? {
            continue;
        }
        if levels.spacing != Spacing::Uniform {
            return Err(fields.unsupported(field, "true with another spacing"));
        }
        levels.spacing = spacing;
    }
    Ok(levels)
}

/// What the classes made for diffusion must say to be meant for flow matching.
fn flow_fields(fields: &Fields<'_>) -> Result<()> {
    match fields.text("prediction_type", "epsilon")? {
        "flow_prediction" => {}
        other => return Err(fields.unsupported("prediction_type", other)),
    }
    fields.require_flag("use_flow_sigmas", false, true)?;
    fields.require_flag("use_dynamic_shifting", false, false)?;
    fields.require_flag("thresholding", false, false)
}

/// The fields of a configuration file, each with its default.
pub(super) struct Fields<'a> {
    file: &'a Path,
    map: Map<String, Value>,
}

impl Fields<'_> {
    fn levels(&self, rule: Rule, shift: &str, final_sigma: FinalSigma) -> Result<Levels> {
        Ok(Levels {
            rule,
            spacing: Spacing::Uniform,
            shift: self.number(shift, 1.0)?,
            shift_terminal: None,
            final_sigma,
            num_train_timesteps: self.num_train_timesteps()?,
        })
    }

    pub(super) fn num_train_timesteps(&self) -> Result<f64> {
        let count = self.number("num_train_timesteps", NUM_TRAIN_TIMESTEPS)?;
        let known = count.fract() == 0.0 && (2.0..=1e6).contains(&count);
        if known { Ok(count) } else { Err(self.unsupported("num_train_timesteps", &count.to_string())) }
    }

    /// 0 and null both mean none.
    fn shift_terminal(&self) -> Result<Option<f64>> {
        Ok(self.optional_number("shift_terminal")?.filter(|&terminal| terminal != 0.0))
    }

    fn optional_number(&self, name: &str) -> Result<Option<f64>> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.number(name, 0.0).map(Some),
        }
    }

    fn order(&self, most: usize) -> Result<usize> {
        let order = self.number("solver_order", 2.0)?;
        let known = (1..=most).find(|&known| known as f64 == order);
        known.ok_or_else(|| self.unsupported("solver_order", &order.to_string()))
    }

    pub(super) fn number(&self, name: &str, default: f64) -> Result<f64> {
        self.get(name, default, "a number", Value::as_f64)
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool> {
        self.get(name, default, "true or false", Value::as_bool)
    }

    pub(super) fn text<'a>(&'a self, name: &str, default: &'a str) -> Result<&'a str> {
        self.get(name, default, "a text", Value::as_str)
    }

    fn indices(&self, name: &str) -> Result<Vec<usize>> {
        let read = |value: &Value| value.as_array()?.iter().map(|index| index.as_u64()?.try_into().ok()).collect();
        self.get(name, Vec::new(), "a list of step numbers", read)
    }

    fn get<'a, T>(&'a self, name: &str, default: T, kind: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<T> {
        let Some(value) = self.map.get(name) else { return Ok(default) };
        read(value).ok_or_else(|| Error::weights(self.file, format!("`{name}` is {value}, should be {kind}")))
    }

    pub(super) fn require_flag(&self, name: &str, default: bool, required: bool) -> Result<()> {
        let value = self.flag(name, default)?;
        if value == required { Ok(()) } else { Err(self.unsupported(name, &value.to_string())) }
    }

    pub(super) fn require_null(&self, name: &str) -> Result<()> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(()),
            Some(value) => Err(self.unsupported(name, &value.to_string())),
        }
    }

    pub(super) fn unsupported(&self, name: &str, value: &str) -> Error {
        Error::Unsupported(format!("{}: scheduler setting `{name}`: {value}", self.file.display()))
    }
}
