//! Schedulers against diffusers, from `reference/schedulers.py`, and their settings.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::SafeTensors;
use wan_animate::unversioned::schedulers::{Evaluation, LATENTS, MAX_TERMS, Plan, Scheduler, SchedulerConfig, Term, Update};
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
fn run(plan: &Plan, golden: &Golden) -> Vec<Vec<f64>> {
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
    match name.strip_prefix("official/").and_then(|rest| rest.split('/').next()) {
        Some(scheduler) => Ok(SchedulerConfig::official(scheduler.parse()?)),
        None => SchedulerConfig::parse(Path::new("scheduler_config.json"), json),
    }
}

#[test]
fn trajectories_equal_diffusers() -> Result<()> {
    let golden = Golden::open("schedulers");
    let mut seen = 0;
    for (name, json) in golden.metadata() {
        let timesteps = golden.get(&format!("{name}|timesteps"));
        let plan = config_of(&name, &json)?.plan(timesteps.len())?;
        let fed: Vec<f64> = plan.evaluations.iter().map(|e| e.timestep).collect();
        assert_eq!(fed, timesteps, "{name}");
        let sigmas: Vec<f64> = plan.evaluations.iter().map(|e| e.sigma).collect();
        // To the last bit of f32: the levels are rounded as the reference rounds them.
        assert_eq!(sigmas, golden.get(&format!("{name}|sigmas"))[..sigmas.len()], "{name}");

        let got = run(&plan, &golden).concat();
        // The same formulas in f64: only the order of operations differs; 2e-15 was seen.
        let exact = difference(&got, &golden.get(&format!("{name}|exact")));
        assert!(exact < 1e-13, "{name}: {exact:e} from the reference in f64");
        // As the reference runs, with coefficients in f32: 5e-7 was seen.
        let plain = difference(&got, &golden.get(&format!("{name}|plain")));
        assert!(plain < 1e-6, "{name}: {plain:e} from the reference");
        seen += 1;
    }
    assert!(seen > 40, "only {seen} cases");
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
    let all = ["UniPCMultistepScheduler", "DPMSolverMultistepScheduler", "FlowMatchEulerDiscreteScheduler"];
    let cases: &[(&str, &str, &[usize])] = &[
        ("prediction_type", r#""epsilon""#, &[0, 1]),
        ("use_flow_sigmas", "false", &[0, 1]),
        ("use_dynamic_shifting", "true", &[0, 1, 2]),
        ("thresholding", "true", &[0, 1]),
        ("invert_sigmas", "true", &[2]),
        ("use_lu_lambdas", "true", &[1]),
        ("algorithm_type", r#""dpmsolver""#, &[1]),
        ("solver_order", "4", &[0, 1]),
        ("solver_order", "1.5", &[0, 1]),
        ("solver_order", "0", &[0, 1]),
        ("solver_type", r#""rk4""#, &[0, 1]),
        ("solver_p", r#"{"order": 1}"#, &[0]),
        ("predict_x0", "false", &[0]),
        ("lower_order_final", "false", &[0]),
        ("final_sigmas_type", r#""one""#, &[0, 1]),
    ];
    for (field, value, classes) in cases {
        for &class in *classes {
            match parse(all[class], &format!(r#", "{field}": {value}"#)) {
                Err(Error::Unsupported(message)) => {
                    let said = message.contains(field) && message.contains(value.trim_matches('"').trim_start_matches('{'));
                    assert!(said || field == &"solver_p", "{field}: {message}");
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
    assert!(matches!(SchedulerConfig::open(Path::new("no/such/file.json")), Err(Error::Io { .. })));
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
    for scheduler in [Scheduler::UniPc, Scheduler::DpmPp2M, Scheduler::Euler] {
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
    let schedulers = [Scheduler::UniPc, Scheduler::DpmPp2M, Scheduler::Euler];
    for (scheduler, steps) in schedulers.into_iter().flat_map(|s| [1, 2, 3, 15, 100, 1000].map(|n| (s, n))) {
        for config in [SchedulerConfig::official(scheduler), SchedulerConfig::diffusers(scheduler)] {
            let plan = config.plan(steps)?;
            // All data is the number 3, from noise of -2: the velocity is the same everywhere, and every solver must be exact.
            let mut slots = vec![vec![f64::NAN]; plan.slots];
            let start = plan.evaluations[0].sigma;
            slots[LATENTS] = vec![3.0 * (1.0 - start) - 2.0 * start];
            for update in plan.evaluations.iter().flat_map(|e| &e.updates) {
                slots[update.into] = combine(update, &slots, &[-5.0], &[0.0]);
            }
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
    assert_eq!(config.with_scheduler("dpm++".parse()?).shift(), 7.5);
    let official = SchedulerConfig::official(Scheduler::UniPc).with_scheduler(Scheduler::DpmPp2M);
    assert_eq!(official.plan(3)?.evaluations[0].sigma, 1.0);
    assert!(matches!("ddpm".parse::<Scheduler>(), Err(Error::Input(_))));
    Ok(())
}
