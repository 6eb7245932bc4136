//! Schedulers against diffusers, from `reference/schedulers.py`, and their settings.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::SafeTensors;
use wan_animate::unversioned::schedulers::{
    Evaluation, LATENTS, MAX_TERMS, Sampler, Scheduler, SchedulerConfig, SolverPlan, Spacing, Term, Update,
};
use wan_animate::{Error, Result};

/// A golden file of f64 tensors.
struct Golden(Vec<u8>);

impl Golden {
    fn open(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name).with_extension("safetensors");
        Self(std::fs::read(path).expect("golden file"))
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let (_, header) = SafeTensors::read_metadata(&self.0).expect("golden header");
        header.metadata().clone().expect("golden metadata").into_iter().collect()
    }

    fn get(&self, name: &str) -> Vec<f64> {
        let file = SafeTensors::deserialize(&self.0).expect("golden file");
        let tensor = file.tensor(name).expect("golden tensor");
        tensor.data().chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().expect("eight bytes"))).collect()
    }
}

/// The pipeline's loop, with the goldens' closed-form model; the latents after every evaluation.
fn run(plan: &SolverPlan, golden: &Golden) -> Vec<Vec<f64>> {
    let (matrix, offset, noise) = (golden.get("matrix"), golden.get("offset"), golden.get("noise"));
    let mut slots = vec![Vec::new(); plan.slots];
    slots[LATENTS] = golden.get("start");
    let size = offset.len();
    let step = |(i, evaluation): (usize, &Evaluation)| {
        let product = |row: &[f64]| row.iter().zip(&slots[LATENTS]).map(|(a, b)| a * b).sum::<f64>();
        let level = evaluation.timestep / 1000.0;
        let velocity: Vec<f64> = matrix.chunks(size).zip(&offset).map(|(row, c)| product(row) + c * level).collect();
        for update in &evaluation.updates {
            slots[update.into] = combine(update, &slots, &velocity, &noise[i * size..(i + 1) * size]);
        }
        slots[LATENTS].clone()
    };
    plan.evaluations.iter().enumerate().map(step).collect()
}

fn combine(update: &Update, slots: &[Vec<f64>], velocity: &[f64], noise: &[f64]) -> Vec<f64> {
    assert!((1..=MAX_TERMS).contains(&update.terms.len()), "{update:?}");
    let mut sum = vec![0.0; velocity.len()];
    for &(term, weight) in &update.terms {
        assert!(weight.is_finite() && weight != 0.0, "{update:?}");
        let tensor = match term {
            Term::Slot(slot) => &slots[slot],
            Term::Velocity => velocity,
            Term::Noise => noise,
        };
        assert_eq!(tensor.len(), sum.len(), "reads a slot never written: {update:?}");
        sum.iter_mut().zip(tensor).for_each(|(sum, value)| *sum += weight * value);
    }
    sum
}

/// Largest difference, relative to the larger of 1 and the value.
fn difference(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).map(|(g, w)| (g - w).abs() / w.abs().max(1.0)).fold(0.0, f64::max)
}

fn config_of(name: &str, json: &str) -> Result<SchedulerConfig> {
    if let Some(scheduler) = name.strip_prefix("official/").and_then(|rest| rest.split('/').next()) {
        return Ok(SchedulerConfig::official(scheduler.parse()?));
    }
    let config = SchedulerConfig::parse(Path::new("scheduler_config.json"), json)?;
    let fields: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let list = |name: &str| fields["given"][name].as_array().map(|list| list.iter().filter_map(|level| level.as_f64()).collect());
    Ok(match (list("sigmas"), list("timesteps")) {
        (Some(sigmas), _) => config.with_spacing(Spacing::Sigmas(sigmas)),
        (_, Some(timesteps)) => config.with_spacing(Spacing::Timesteps(timesteps)),
        _ => config,
    })
}

/// How far from the reference is near enough.
struct Allowed {
    /// Of the noise levels. They are rounded to f32 as the reference rounds them, so in general not at all.
    sigmas: f64,
    /// Of the trajectory when the reference computes in f64 too: only the order of operations differs.
    exact: f64,
    /// Of the trajectory when the reference computes its coefficients in f32, as it does by default: 5e-7 was seen.
    plain: f64,
}

impl Allowed {
    fn of(name: &str) -> Self {
        let general = Self { sigmas: 0.0, exact: 1e-13, plain: 1e-6 };
        match name.split('/').collect::<Vec<_>>()[..] {
            // Ends of the diffusion's schedule, a product of a thousand rounded factors, to an ulp of f32.
            ["unipc", "karras" | "karras_scaled", _] => Self { sigmas: 1e-7, exact: 1e-6, ..general },
            // The reference adds 1e-12 to denominators.
            ["euler_a", ..] => Self { exact: 1e-10, ..general },
            // The reference divides the latents by the signal, 2e-4 at first: so much of its rounding is seen.
            ["deis", ..] => Self { exact: 1e-12, plain: 1e-4, ..general },
            _ => general,
        }
    }
}

#[test]
fn trajectories_equal_diffusers() -> Result<()> {
    let golden = Golden::open("schedulers");
    let mut seen = 0;
    for (name, json) in golden.metadata() {
        let allowed = Allowed::of(&name);
        let timesteps = golden.get(&format!("{name}|timesteps"));
        let steps = name.rsplit('/').next().and_then(|steps| steps.parse().ok()).expect("names end with the steps");
        let plan = config_of(&name, &json)?.plan(steps)?;
        let fed: Vec<f64> = plan.evaluations.iter().map(|e| e.timestep).collect();
        assert_eq!(fed, timesteps, "{name}");
        let sigmas: Vec<f64> = plan.evaluations.iter().map(|e| e.sigma).collect();
        let off = difference(&sigmas, &golden.get(&format!("{name}|sigmas"))[..sigmas.len()]);
        assert!(off <= allowed.sigmas, "{name}: levels off by {off:e}");

        let got = run(&plan, &golden).concat();
        let exact = difference(&got, &golden.get(&format!("{name}|exact")));
        assert!(exact < allowed.exact, "{name}: {exact:e} from the reference in f64");
        let plain = difference(&got, &golden.get(&format!("{name}|plain")));
        assert!(plain < allowed.plain, "{name}: {plain:e} from the reference");
        seen += 1;
    }
    assert!(seen > 80, "only {seen} cases");
    Ok(())
}

const FLOW: &str = r#""prediction_type": "flow_prediction", "use_flow_sigmas": true"#;

/// Parses a configuration of a class with further fields.
fn parse(class: &str, fields: &str) -> Result<SchedulerConfig> {
    let json = format!(r#"{{"_class_name": "{class}", {FLOW}{fields}}}"#);
    SchedulerConfig::parse(Path::new("scheduler_config.json"), &json)
}

#[test]
fn settings_not_implemented_are_refused_by_name() {
    let all = [
        "UniPCMultistepScheduler",
        "DPMSolverMultistepScheduler",
        "FlowMatchEulerDiscreteScheduler",
        "FlowMatchLCMScheduler",
        "LTXEulerAncestralRFScheduler",
        "DEISMultistepScheduler",
    ];
    let cases: &[(&str, &str, &[usize])] = &[
        ("prediction_type", r#""epsilon""#, &[0, 1, 5]),
        ("use_flow_sigmas", "false", &[0, 1, 5]),
        ("use_dynamic_shifting", "true", &[0, 1, 2, 3, 4, 5]),
        ("thresholding", "true", &[0, 1, 5]),
        ("invert_sigmas", "true", &[2, 3]),
        ("use_lu_lambdas", "true", &[1]),
        ("use_karras_sigmas", "true", &[1, 5]),
        ("use_beta_sigmas", "true", &[0, 1, 5]),
        ("algorithm_type", r#""sde-dpmsolver""#, &[1, 5]),
        ("solver_order", "4", &[0, 1, 5]),
        ("solver_order", "1.5", &[0, 1]),
        ("solver_order", "0", &[0, 1]),
        ("solver_type", r#""rk4""#, &[0, 1, 5]),
        ("scale_factors", "[0.5]", &[3]),
        ("eta", "1.5", &[4]),
        ("s_noise", "0.5", &[4]),
        ("num_train_timesteps", "0", &[0, 1, 2, 3, 4, 5]),
        ("num_train_timesteps", "1e18", &[0, 2]),
        ("solver_p", "1", &[0]),
        ("predict_x0", "false", &[0]),
        ("lower_order_final", "false", &[0]),
        ("final_sigmas_type", r#""one""#, &[0, 1]),
    ];
    for (field, value, classes) in cases {
        for &class in *classes {
            match parse(all[class], &format!(r#", "{field}": {value}"#)) {
                Err(Error::Unsupported(message)) => {
                    let value = value.trim_matches('"').replace("1e18", "1000000000000000000");
                    assert!(message.contains(field) && message.contains(&value), "{field}: {message}");
                }
                other => panic!("{}: {field} {value}: {other:?}", all[class]),
            }
        }
    }
    let unknown = parse("PNDMScheduler", "");
    assert!(matches!(&unknown, Err(Error::Unsupported(message)) if message.contains("PNDMScheduler")), "{unknown:?}");
}

#[test]
fn damaged_configurations_are_errors() {
    let wrong_types =
        [r#", "flow_shift": "5""#, r#", "solver_order": null"#, r#", "disable_corrector": [-1]"#, r#", "lower_order_final": 1"#];
    for fields in wrong_types {
        let parsed = parse("UniPCMultistepScheduler", fields);
        assert!(matches!(parsed, Err(Error::Weights { .. })), "{fields}: {parsed:?}");
    }
    for json in ["", "[]", "{", "nonsense", r#"{"_class_name": 3}"#] {
        let parsed = SchedulerConfig::parse(Path::new("scheduler_config.json"), json);
        assert!(matches!(parsed, Err(Error::Weights { .. })), "{json}: {parsed:?}");
    }
    assert!(matches!(SchedulerConfig::open(&Path::new("no/such/file.json").into()), Err(Error::Io { .. })));
}

#[test]
fn fields_that_flow_matching_does_not_use_are_tolerated() -> Result<()> {
    let wan = r#", "_diffusers_version": "0.35.0.dev0", "beta_end": 0.02, "beta_schedule": "linear", "beta_start": 0.0001,
        "disable_corrector": [], "dynamic_thresholding_ratio": 0.995, "final_sigmas_type": "zero", "flow_shift": 3.0, "lower_order_final": true,
        "num_train_timesteps": 1000, "predict_x0": true, "rescale_betas_zero_snr": false, "sample_max_value": 1.0, "solver_order": 2,
        "solver_p": null, "solver_type": "bh2", "steps_offset": 0, "thresholding": false, "time_shift_type": "exponential",
        "timestep_spacing": "linspace", "trained_betas": null, "use_beta_sigmas": false, "use_dynamic_shifting": false,
        "use_exponential_sigmas": false, "use_karras_sigmas": false, "something_new": [1, 2]"#;
    assert_eq!(parse("UniPCMultistepScheduler", wan)?, SchedulerConfig::diffusers(Scheduler::UniPc).with_shift(3.0));
    Ok(())
}

#[test]
fn senseless_runs_are_refused() {
    for &scheduler in Scheduler::ALL {
        let config = SchedulerConfig::official(scheduler);
        for steps in [0, 10_001, usize::MAX] {
            assert!(matches!(config.plan(steps), Err(Error::Input(_))), "{scheduler:?} {steps}");
        }
        for shift in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(matches!(config.clone().with_shift(shift).plan(4), Err(Error::Input(_))), "{scheduler:?} {shift}");
        }
    }
}

#[test]
fn every_plan_ends_at_the_data() -> Result<()> {
    for (scheduler, steps) in Scheduler::ALL.iter().flat_map(|&s| [1, 2, 3, 15, 100, 900].map(|n| (s, n))) {
        for config in [SchedulerConfig::official(scheduler), SchedulerConfig::diffusers(scheduler)] {
            let plan = config.plan(steps)?;
            // All data is the number 3: the velocity is noise - 3 and every solver must find it, whatever noise it adds.
            let mut slots = vec![Vec::new(); plan.slots];
            let start = plan.evaluations[0].sigma;
            slots[LATENTS] = vec![3.0 * (1.0 - start) - 2.0 * start];
            for evaluation in &plan.evaluations {
                let velocity = (slots[LATENTS][0] - 3.0) / evaluation.sigma;
                for update in &evaluation.updates {
                    slots[update.into] = combine(update, &slots, &[velocity], &[0.7]);
                }
            }
            // Weights that add up to 1 within 1e-16, hundreds of times over, times 1e3 where steps are as different as DEIS's.
            assert!((slots[LATENTS][0] - 3.0).abs() < 1e-9, "{scheduler:?}, {steps} steps: {:?}", slots[LATENTS]);
        }
    }
    Ok(())
}

#[test]
fn another_scheduler_keeps_shift_and_rule() -> Result<()> {
    let config = parse("UniPCMultistepScheduler", r#", "flow_shift": 7.5, "solver_type": "bh1""#)?;
    assert_eq!(config.clone().with_scheduler("unipc".parse()?), config);
    assert_eq!(config.clone().with_scheduler("euler".parse()?), SchedulerConfig::diffusers(Scheduler::Euler).with_shift(7.5));
    assert_eq!(config.clone().with_scheduler("dpm++".parse()?).shift(), 7.5);
    let karras = config.clone().with_sampler("Euler Karras".parse()?);
    assert_eq!(karras, SchedulerConfig::diffusers(Scheduler::Euler).with_shift(7.5).with_spacing(Spacing::Karras));
    assert_eq!(config.clone().with_sampler("Default".parse()?), config);
    let official = SchedulerConfig::official(Scheduler::UniPc).with_scheduler(Scheduler::DpmPp2M);
    assert_eq!(official.plan(3)?.evaluations[0].sigma, 1.0);
    Ok(())
}

#[test]
fn the_names_users_know_are_understood() -> Result<()> {
    let cases: &[(&str, Scheduler, &[&str])] = &[
        ("DDIM", Scheduler::Euler, &[]),
        ("DEIS", Scheduler::Deis, &[]),
        ("DPM++", Scheduler::DpmPp2M, &[]),
        ("DPM++ 2M", Scheduler::DpmPp2M, &["Beta", "Exponential", "Karras", "Uniform"]),
        ("DPM++ 2M SDE", Scheduler::DpmPp2MSde, &["Beta", "Exponential", "Karras", "Uniform"]),
        ("DPM++ 3M", Scheduler::DpmPp3M, &["Beta", "Exponential", "Karras", "Uniform"]),
        ("DPM++ SDE", Scheduler::DpmPpSde, &["Beta", "Exponential", "Karras", "Uniform"]),
        ("Euler", Scheduler::Euler, &["Beta", "Exponential", "Karras"]),
        ("Euler a", Scheduler::EulerAncestral, &[]),
        ("Heun", Scheduler::Heun, &["Karras"]),
        ("IPNDM", Scheduler::Ipndm, &[]),
        ("LCM", Scheduler::Lcm, &[]),
        ("LMS", Scheduler::Lms, &["Karras"]),
        ("TCD", Scheduler::Tcd, &[]),
        ("UniPC", Scheduler::UniPc, &["Beta", "Exponential", "Karras", "Uniform"]),
        ("UniPC 2M", Scheduler::UniPc, &["Karras", "Uniform"]),
        ("UniPC 3M", Scheduler::UniPc3M, &["Karras", "Uniform"]),
        ("UniPCMultistepScheduler", Scheduler::UniPc, &[]),
        ("DPMSolverMultistepScheduler", Scheduler::DpmPp2M, &[]),
        ("FlowMatchEulerDiscreteScheduler", Scheduler::Euler, &[]),
        ("FlowMatchHeunDiscreteScheduler", Scheduler::Heun, &[]),
        ("DEISMultistepScheduler", Scheduler::Deis, &[]),
        ("dpm++_2m_sde", Scheduler::DpmPp2MSde, &["karras"]),
    ];
    for &(name, scheduler, spacings) in cases {
        assert_eq!(name.parse::<Sampler>()?, scheduler.into(), "{name}");
        assert_eq!(name.parse::<Scheduler>()?, scheduler, "{name}");
        for spacing in spacings {
            let sampler: Sampler = format!("{name} {spacing}").parse()?;
            let wanted = match spacing.to_lowercase().as_str() {
                "beta" => Spacing::Beta,
                "exponential" => Spacing::Exponential,
                "karras" => Spacing::Karras,
                _ => Spacing::Uniform,
            };
            assert_eq!(sampler, Sampler::from(scheduler).with_spacing(wanted), "{name} {spacing}");
        }
    }
    assert_eq!("Default".parse::<Sampler>()?, Sampler::default());
    for name in ["", "karras", "unipc2", "euler b", "dpm++ 4m"] {
        assert!(matches!(name.parse::<Sampler>(), Err(Error::Input(_))), "{name}");
    }
    assert!(matches!("euler karras".parse::<Scheduler>(), Err(Error::Input(_))));
    Ok(())
}

/// The names of Runware's documentation.
#[rustfmt::skip]
const RUNWARE: &[&str] = &[
    "DDIM", "DDIMScheduler", "DDPMScheduler", "DEISMultistepScheduler", "Default",
    "DPM++", "DPM++ 2M", "DPM++ 2M Beta", "DPM++ 2M Exponential", "DPM++ 2M Karras",
    "DPM++ 2M SDE", "DPM++ 2M SDE Beta", "DPM++ 2M SDE Exponential", "DPM++ 2M SDE Karras", "DPM++ 2M SDE Uniform",
    "DPM++ 2M Uniform", "DPM++ 3M", "DPM++ 3M Beta", "DPM++ 3M Exponential", "DPM++ 3M Karras",
    "DPM++ 3M SDE Uniform", "DPM++ 3M Uniform", "DPM++ Beta", "DPM++ Exponential", "DPM++ Karras",
    "DPM++ SDE", "DPM++ SDE Beta", "DPM++ SDE Exponential", "DPM++ SDE Karras", "DPM++ Uniform",
    "DPM++ Uniform Beta", "DPM++ Uniform Exponential", "DPM++ Uniform Karras", "DPMSolverMultistepInverse", "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler", "EDMDPMSolverMultistepScheduler", "EDMEulerScheduler", "Euler", "Euler a",
    "Euler Beta", "Euler DiscreteScheduler", "Euler Exponential", "Euler Karras", "EulerAncestralDiscreteScheduler",
    "FlowMatchEulerDiscreteScheduler", "Heun", "HeunDiscreteScheduler", "Heun Karras", "IPNDMScheduler",
    "IPNDM Uniform", "IPNDM Uniform Beta", "IPNDM Uniform Exponential", "IPNDM Uniform Karras", "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler", "LCM", "LCMScheduler", "LMS", "LMSDiscreteScheduler",
    "LMS Karras", "PNDMScheduler", "TCDScheduler", "UniPC", "UniPC 2M",
    "UniPC 2M Karras", "UniPC 2M Uniform", "UniPC 3M", "UniPC 3M Karras", "UniPC 3M Uniform",
    "UniPC Karras", "UniPC Uniform", "UniPC Uniform Beta", "UniPC Uniform Exponential", "UniPC Uniform Karras",
];

/// Every name that Runware offers is a scheduler, or says why it can be none.
#[test]
fn all_names_of_runware_are_understood() -> Result<()> {
    let undefined = ["DDPMScheduler", "DPMSolverMultistepInverse", "EDMDPMSolverMultistepScheduler", "EDMEulerScheduler", "PNDMScheduler"];
    let plain = [
        ("DDIMScheduler", Scheduler::Euler),
        ("DPMSolverSinglestepScheduler", Scheduler::DpmPp2S),
        ("Euler DiscreteScheduler", Scheduler::Euler),
        ("EulerAncestralDiscreteScheduler", Scheduler::EulerAncestral),
        ("HeunDiscreteScheduler", Scheduler::Heun),
        ("IPNDMScheduler", Scheduler::Ipndm),
        ("KDPM2AncestralDiscreteScheduler", Scheduler::Kdpm2Ancestral),
        ("KDPM2DiscreteScheduler", Scheduler::Kdpm2),
        ("LCMScheduler", Scheduler::Lcm),
        ("LMSDiscreteScheduler", Scheduler::Lms),
        ("TCDScheduler", Scheduler::Tcd),
    ];
    let spread = [
        ("DPM++ 3M SDE Uniform", Scheduler::DpmPp3MSde, Spacing::Uniform),
        ("DPM++ Uniform Beta", Scheduler::DpmPp2M, Spacing::Beta),
        ("IPNDM Uniform Exponential", Scheduler::Ipndm, Spacing::Exponential),
        ("UniPC Uniform Karras", Scheduler::UniPc, Spacing::Karras),
    ];
    for (name, scheduler) in plain {
        assert_eq!(name.parse::<Sampler>()?, scheduler.into(), "{name}");
    }
    for (name, scheduler, spacing) in spread {
        assert_eq!(name.parse::<Sampler>()?, Sampler::from(scheduler).with_spacing(spacing), "{name}");
    }
    assert_eq!(RUNWARE.len(), 75);
    for name in RUNWARE {
        match name.parse::<Sampler>() {
            Ok(sampler) => {
                assert!(!undefined.contains(name), "{name}");
                SchedulerConfig::diffusers(Scheduler::UniPc).with_sampler(sampler).plan(7)?;
            }
            Err(Error::Unsupported(why)) => {
                assert!(undefined.contains(name) && why.contains("not defined for flow matching") && why.contains(": it"), "{name}: {why}");
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
    Ok(())
}

#[test]
fn explicit_levels_are_taken_as_they_are() -> Result<()> {
    let four = Spacing::Sigmas(vec![1.0, 0.75, 0.5, 0.25, 0.0]);
    let timesteps = Spacing::Timesteps(vec![1000.0, 750.0, 500.0, 250.5]);
    for &scheduler in Scheduler::ALL {
        let config = SchedulerConfig::diffusers(scheduler).with_shift(8.0);
        let sigmas = config.clone().with_spacing(four.clone());
        assert_eq!(sigmas.steps(), Some(4));
        let begin = |plan: &SolverPlan, step: usize| plan.evaluations.iter().find(|e| e.step == step).map(|e| (e.sigma, e.timestep));
        assert_eq!(begin(&sigmas.plan(4)?, 1), Some((0.75, 750.0)), "{scheduler:?}");
        assert!(matches!(sigmas.plan(5), Err(Error::Input(_))), "{scheduler:?}");
        let plan = config.with_spacing(timesteps.clone()).plan(4)?;
        assert_eq!(begin(&plan, 3), Some((0.2505f32.into(), 250.5)), "{scheduler:?}");
        assert_eq!(plan.evaluations[0].timestep, 1000.0, "{scheduler:?}");
    }
    let euler = SchedulerConfig::official(Scheduler::Euler);
    for list in [vec![], vec![0.0], vec![0.5, 0.5], vec![0.5, 0.75], vec![1.5, 0.5], vec![f64::NAN], vec![0.5, -0.25]] {
        let config = euler.clone().with_spacing(Spacing::Sigmas(list.clone()));
        assert!(matches!(config.plan(config.steps().unwrap_or(0)), Err(Error::Input(_))), "{list:?}");
    }
    Ok(())
}
