//! Below the next level along the flow, then back up to it with fresh noise: Euler ancestral, TCD and LCM, which differ in how far below.

use super::plan::{Evaluation, LATENTS, Term, Update};
use super::sigmas::Schedule;

/// How far below the next level a step goes before noise takes it back up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Depth {
    /// Euler ancestral: the further the longer the step, times eta in [0, 1].
    Step {
        /// 0 adds no noise and is Euler's method, 1 is the default.
        eta: f64,
    },
    /// TCD (Zheng et al. 2024): a fixed part, gamma in [0, 1], of the next level.
    Part {
        /// 0 adds no noise and is Euler's method, 1 is LCM.
        gamma: f64,
    },
}

impl Depth {
    /// To the next level, and no further.
    pub(super) const NONE: Self = Self::Step { eta: 0.0 };

    /// LCM: all the way to the estimated data.
    pub(super) const DATA: Self = Self::Part { gamma: 1.0 };

    pub(super) fn level(self, sigma: f64, next: f64) -> f64 {
        match self {
            Self::Step { eta } => next * (1.0 + (next / sigma - 1.0) * eta),
            Self::Part { gamma } => next * (1.0 - gamma),
        }
    }

    /// What brings latents from below the next level back up to it: by what they are multiplied, and how much noise is added.
    pub(super) fn back(self, sigma: f64, next: f64) -> (f64, f64) {
        let down = self.level(sigma, next);
        // Data shrinks from 1 - down to 1 - next; noise of what is left and of what is added sum to the next level's.
        let scale = (1.0 - next) / (1.0 - down);
        (scale, (next * next - (scale * down).powi(2)).max(0.0).sqrt())
    }

    pub(super) fn plan(self, schedule: &Schedule) -> Vec<Evaluation> {
        schedule.evaluations(|i| {
            let (sigma, next) = (schedule.sigmas[i], schedule.sigmas[i + 1]);
            let (down, (scale, noise)) = (self.level(sigma, next), self.back(sigma, next));
            let terms = [(Term::Slot(LATENTS), scale), (Term::Velocity, scale * (down - sigma)), (Term::Noise, noise)];
            vec![Update::new(LATENTS, terms)]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedulers::{Scheduler, SchedulerConfig};

    #[test]
    fn data_and_noise_come_out_at_their_shares() -> crate::Result<()> {
        for scheduler in [Scheduler::EulerAncestral, Scheduler::Tcd, Scheduler::Lcm] {
            let plan = SchedulerConfig::official(scheduler).plan(6)?;
            for pair in plan.evaluations.windows(2) {
                let (sigma, next) = (pair[0].sigma, pair[1].sigma);
                let weight = |wanted| pair[0].updates[0].terms.iter().find(|(term, _)| *term == wanted).map_or(0.0, |term| term.1);
                let (latents, velocity, added) = (weight(Term::Slot(LATENTS)), weight(Term::Velocity), weight(Term::Noise));
                // Latents are (1 - sigma) data + sigma noise, the velocity noise - data.
                let data = latents * (1.0 - sigma) - velocity;
                let noise = (latents * sigma + velocity).hypot(added);
                assert!((data - (1.0 - next)).abs() < 1e-12 && (noise - next).abs() < 1e-12, "{scheduler:?}: {data} {noise} at {next}");
                assert!(added > 0.0, "{scheduler:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn the_depth_decides_how_much_noise_is_new() {
        assert_eq!(Depth::DATA.level(0.8, 0.5), 0.0);
        assert!((Depth::Part { gamma: 0.3 }.level(0.8, 0.5) - 0.35).abs() < 1e-15);
        assert_eq!(Depth::Step { eta: 0.0 }.level(0.8, 0.5), 0.5);
        assert_eq!(Depth::Step { eta: 1.0 }.level(0.8, 0.5), 0.3125);
    }
}
