//! Reads a checkpoint's `scheduler_config.json`.

use std::path::Path;

use super::dpmpp::{self, DpmPp};
use super::sigmas::{FinalSigma, Levels, Rule};
use super::unipc::{self, UniPc};
use super::{
    ancestral::Depth, config::SchedulerConfig, deis::Deis, diffusion, fields::Fields, scheduler::Scheduler, scheduler::Solver,
    spacing::Spacing,
};
use crate::error::Result;
use crate::json::read_json_text;
use crate::location::Location;

impl SchedulerConfig {
    /// Reads a diffusers `scheduler_config.json`.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when the file cannot be read, and the errors of [`parse`](Self::parse).
    pub fn open(file: &Location) -> Result<Self> {
        Self::parse(file.path(), &read_json_text(file)?)
    }

    /// Understands the text of a diffusers `scheduler_config.json`; `file` is named in errors.
    ///
    /// Classes: `UniPCMultistepScheduler`, `DPMSolverMultistepScheduler`, `DPMSolverSinglestepScheduler`, `DEISMultistepScheduler` (which repeats its last noise level and
    /// so ends with some noise left), `FlowMatchEulerDiscreteScheduler`, `FlowMatchHeunDiscreteScheduler`, `FlowMatchLCMScheduler`,
    /// `LTXEulerAncestralRFScheduler`. Fields that diffusers leaves out of account for flow matching are left out of account here too, and
    /// missing fields have the class's default.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) when the text is not JSON or a field has the wrong type;
    /// [`Error::Unsupported`](crate::Error::Unsupported), naming field and value, for a class or setting that is not implemented.
    pub fn parse(file: &Path, json: &str) -> Result<Self> {
        let fields = Fields::parse(file, json)?;
        match fields.text("_class_name", "")? {
            "UniPCMultistepScheduler" => uni_pc(&fields),
            "DPMSolverMultistepScheduler" => dpm_solver(&fields),
            "DPMSolverSinglestepScheduler" => dpm_solver_single(&fields),
            "DEISMultistepScheduler" => deis(&fields),
            "FlowMatchEulerDiscreteScheduler" => flow_match_euler(&fields),
            "FlowMatchHeunDiscreteScheduler" => flow_match_heun(&fields),
            "FlowMatchLCMScheduler" => flow_match_lcm(&fields),
            "LTXEulerAncestralRFScheduler" => euler_ancestral(&fields),
            other => Err(fields.unsupported("_class_name", other)),
        }
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

fn dpm_solver_single(fields: &Fields<'_>) -> Result<SchedulerConfig> {
    flow_fields(fields)?;
    for field in ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"] {
        fields.require_flag(field, false, false)?;
    }
    match fields.text("algorithm_type", "dpmsolver++")? {
        "dpmsolver++" | "deis" => {}
        other => return Err(fields.unsupported("algorithm_type", other)),
    }
    match fields.text("final_sigmas_type", "zero")? {
        "zero" => {}
        other => return Err(fields.unsupported("final_sigmas_type", other)),
    }
    let form = match fields.text("solver_type", "midpoint")? {
        "midpoint" | "logrho" | "bh1" | "bh2" => dpmpp::Form::Midpoint,
        "heun" => dpmpp::Form::Heun,
        other => return Err(fields.unsupported("solver_type", other)),
    };
    match fields.order(2)? {
        2 => {}
        other => return Err(fields.unsupported("solver_order", &other.to_string())),
    }
    let levels = fields.levels(Rule::DpmSolver, "flow_shift", FinalSigma::At(0.0))?;
    Ok(SchedulerConfig { scheduler: Scheduler::DpmPp2S, solver: Solver::DpmPpSingle(form), levels, official: false })
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
