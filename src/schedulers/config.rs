//! A scheduler with its settings: chosen by name, or read from a checkpoint's `scheduler_config.json`.

use std::path::Path;

use serde_json::{Map, Value};

use super::dpmpp::{self, DpmPp};
use super::sigmas::{FinalSigma, Rule, Spacing};
use super::unipc::{self, UniPc};
use super::{Plan, Scheduler, euler};
use crate::weights::config::read_json_text;
use crate::{Error, Result};

/// The models' training timesteps, and the shift of their official configurations.
const NUM_TRAIN_TIMESTEPS: f64 = 1000.0;
const DEFAULT_SHIFT: f64 = 5.0;

/// A scheduler and everything that decides its plan but the number of steps.
#[derive(Debug, Clone, PartialEq)]
pub struct SchedulerConfig {
    scheduler: Scheduler,
    solver: Solver,
    spacing: Spacing,
    official: bool,
}

/// A solver with its settings.
#[derive(Debug, Clone, PartialEq)]
enum Solver {
    UniPc(UniPc),
    DpmPp(DpmPp),
    Euler,
    EulerStochastic,
}

impl SchedulerConfig {
    /// The scheduler as the official Wan code runs it; for checkpoints in the official layout. Shift 5.
    pub fn official(scheduler: Scheduler) -> Self {
        Self::new(scheduler, DEFAULT_SHIFT, NUM_TRAIN_TIMESTEPS, true)
    }

    /// The scheduler as the diffusers class of that name runs it with flow sigmas and otherwise its defaults. Shift 5.
    pub fn diffusers(scheduler: Scheduler) -> Self {
        Self::new(scheduler, DEFAULT_SHIFT, NUM_TRAIN_TIMESTEPS, false)
    }

    fn new(scheduler: Scheduler, shift: f64, num_train_timesteps: f64, official: bool) -> Self {
        let (solver, rule) = match scheduler {
            Scheduler::UniPc => (Solver::UniPc(UniPc::default()), if official { Rule::OfficialUniPc } else { Rule::UniPc }),
            Scheduler::DpmPp2M => (Solver::DpmPp(DpmPp::default()), if official { Rule::Official } else { Rule::DpmSolver }),
            Scheduler::Euler => (Solver::Euler, if official { Rule::Official } else { Rule::FlowMatchEuler }),
        };
        let spacing = Spacing { rule, shift, shift_terminal: None, final_sigma: FinalSigma::At(0.0), num_train_timesteps };
        Self { scheduler, solver, spacing, official }
    }

    /// Reads a diffusers `scheduler_config.json`.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, and the errors of [`parse`](Self::parse).
    pub fn open(file: &Path) -> Result<Self> {
        Self::parse(file, &read_json_text(file)?)
    }

    /// Understands the text of a diffusers `scheduler_config.json`; `file` is named in errors.
    ///
    /// Fields that diffusers leaves out of account for flow matching are left out of account here too, and missing fields have the class's
    /// default.
    ///
    /// # Errors
    /// [`Error::Weights`] when the text is not JSON or a field has the wrong type; [`Error::Unsupported`], naming field and value, for a
    /// class or setting that is not implemented.
    pub fn parse(file: &Path, json: &str) -> Result<Self> {
        let map = serde_json::from_str(json).map_err(|error| Error::weights(file, format!("not a JSON object: {error}")))?;
        let fields = Fields { file, map };
        match fields.text("_class_name", "")? {
            "UniPCMultistepScheduler" => uni_pc(&fields),
            "DPMSolverMultistepScheduler" => dpm_solver(&fields),
            "FlowMatchEulerDiscreteScheduler" => flow_match_euler(&fields),
            other => Err(fields.unsupported("_class_name", other)),
        }
    }

    /// Which scheduler this is.
    pub fn scheduler(&self) -> Scheduler {
        self.scheduler
    }

    /// The shift: above 1 it spends more steps at high noise, below 1 at low noise.
    pub fn shift(&self) -> f64 {
        self.spacing.shift
    }

    /// Replaces the shift; any number above 0.
    #[must_use]
    pub fn with_shift(mut self, shift: f64) -> Self {
        self.spacing.shift = shift;
        self
    }

    /// Replaces the scheduler by another with its default settings, keeping the shift and whose rules are followed. Choosing the scheduler
    /// that it already is changes nothing.
    #[must_use]
    pub fn with_scheduler(self, scheduler: Scheduler) -> Self {
        if scheduler == self.scheduler {
            return self;
        }
        Self::new(scheduler, self.spacing.shift, self.spacing.num_train_timesteps, self.official)
    }

    /// The plan of a run of `num_inference_steps` steps.
    ///
    /// # Errors
    /// [`Error::Input`] when the steps are not in 1 to 10,000, the shift is not above 0, or the settings give no falling noise levels.
    pub fn plan(&self, num_inference_steps: usize) -> Result<Plan> {
        let schedule = self.spacing.schedule(num_inference_steps)?;
        Ok(Plan::new(match &self.solver {
            Solver::UniPc(solver) => solver.plan(&schedule),
            Solver::DpmPp(solver) => solver.plan(&schedule),
            Solver::Euler => euler::plan(&schedule),
            Solver::EulerStochastic => euler::plan_stochastic(&schedule),
        }))
    }
}

impl Default for UniPc {
    fn default() -> Self {
        Self { order: 2, form: unipc::Form::Bh2, lower_order_final: true, disable_corrector: Vec::new() }
    }
}

impl Default for DpmPp {
    fn default() -> Self {
        Self { order: 2, form: dpmpp::Form::Midpoint, lower_order_final: true, euler_at_final: false, stochastic: false }
    }
}

fn uni_pc(fields: &Fields<'_>) -> Result<SchedulerConfig> {
    flow_fields(fields)?;
    for field in ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"] {
        fields.require_flag(field, false, false)?;
    }
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
    let order = fields.order(3)?;
    let disable_corrector = fields.indices("disable_corrector")?;
    Ok(SchedulerConfig {
        scheduler: Scheduler::UniPc,
        solver: Solver::UniPc(UniPc { order, form, lower_order_final, disable_corrector }),
        spacing: fields.spacing(Rule::UniPc, "flow_shift", final_sigma)?,
        official: false,
    })
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
        "sigma_min" => FinalSigma::At(least_diffusion_sigma(fields)?),
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
    let mut spacing = fields.spacing(Rule::DpmSolver, "flow_shift", final_sigma)?;
    spacing.shift_terminal = None; // the class has no such field
    Ok(SchedulerConfig { scheduler: Scheduler::DpmPp2M, solver: Solver::DpmPp(solver), spacing, official: false })
}

fn flow_match_euler(fields: &Fields<'_>) -> Result<SchedulerConfig> {
    for field in ["use_dynamic_shifting", "invert_sigmas", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"] {
        fields.require_flag(field, false, false)?;
    }
    let solver = if fields.flag("stochastic_sampling", false)? { Solver::EulerStochastic } else { Solver::Euler };
    let spacing = fields.spacing(Rule::FlowMatchEuler, "shift", FinalSigma::At(0.0))?;
    Ok(SchedulerConfig { scheduler: Scheduler::Euler, solver, spacing, official: false })
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

/// Where diffusers' DPM-Solver ends with `final_sigmas_type: sigma_min`: its diffusion schedule's least sigma, flow or not, in f32.
fn least_diffusion_sigma(fields: &Fields<'_>) -> Result<f64> {
    match fields.text("beta_schedule", "linear")? {
        "linear" | "scaled_linear" => {}
        other => return Err(fields.unsupported("beta_schedule", &format!("{other} with final_sigmas_type sigma_min"))),
    }
    fields.require_null("trained_betas")?;
    let alpha = 1.0 - fields.number("beta_start", 1e-4)? as f32;
    Ok(((1.0 - alpha) / alpha).sqrt().into())
}

/// The fields of a configuration file, each with its default.
struct Fields<'a> {
    file: &'a Path,
    map: Map<String, Value>,
}

impl Fields<'_> {
    fn spacing(&self, rule: Rule, shift: &str, final_sigma: FinalSigma) -> Result<Spacing> {
        let shift_terminal = match self.map.get("shift_terminal") {
            None | Some(Value::Null) => None,
            Some(_) => Some(self.number("shift_terminal", 0.0)?).filter(|&terminal| terminal != 0.0),
        };
        let num_train_timesteps = self.number("num_train_timesteps", NUM_TRAIN_TIMESTEPS)?;
        Ok(Spacing { rule, shift: self.number(shift, 1.0)?, shift_terminal, final_sigma, num_train_timesteps })
    }

    fn order(&self, most: usize) -> Result<usize> {
        let order = self.number("solver_order", 2.0)?;
        let known = (1..=most).find(|&known| known as f64 == order);
        known.ok_or_else(|| self.unsupported("solver_order", &order.to_string()))
    }

    fn number(&self, name: &str, default: f64) -> Result<f64> {
        self.get(name, default, "a number", Value::as_f64)
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool> {
        self.get(name, default, "true or false", Value::as_bool)
    }

    fn text<'a>(&'a self, name: &str, default: &'a str) -> Result<&'a str> {
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

    fn require_flag(&self, name: &str, default: bool, required: bool) -> Result<()> {
        let value = self.flag(name, default)?;
        if value == required { Ok(()) } else { Err(self.unsupported(name, &value.to_string())) }
    }

    fn require_null(&self, name: &str) -> Result<()> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(()),
            Some(value) => Err(self.unsupported(name, &value.to_string())),
        }
    }

    fn unsupported(&self, name: &str, value: &str) -> Error {
        Error::Unsupported(format!("{}: scheduler setting `{name}`: {value}", self.file.display()))
    }
}
