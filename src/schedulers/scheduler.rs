//! Which solvers there are.

/// Which solver takes the latents from noise to data. Those "with noise" add fresh noise on the way; the others follow the flow.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheduler {
    /// UniPC of order 2 (bh2): a predictor and, without a further evaluation, a corrector. `unipc`.
    UniPc,
    /// UniPC of order 3 (bh2). `unipc 3m`.
    UniPc3M,
    /// DPM-Solver++ multistep of order 2 (midpoint). `dpm++`, `dpm++ 2m`.
    DpmPp2M,
    /// DPM-Solver++ multistep of order 3 by name: it uses three estimates, and converges at order 2 as its formula was published.
    /// `dpm++ 3m`.
    DpmPp3M,
    /// DPM-Solver++ multistep of order 2 with noise. `dpm++ 2m sde`.
    DpmPp2MSde,
    /// DPM-Solver++ multistep with noise that uses three estimates, as k-diffusion knows it. `dpm++ 3m sde`.
    DpmPp3MSde,
    /// DPM-Solver++ of order 2 with noise: two evaluations a step. `dpm++ sde`.
    DpmPpSde,
    /// DPM-Solver++ single-step of order 2: steps go in pairs, so that their number should be odd. `dpm++ 2s`.
    DpmPp2S,
    /// Euler's method along the flow. `euler`, and `ddim`, which is the same for a flow.
    Euler,
    /// Euler's method below the next level and back with noise. `euler a`.
    EulerAncestral,
    /// Heun's method: two evaluations a step. `heun`.
    Heun,
    /// The midpoint method in the logarithm of the level: two evaluations a step. `kdpm2`.
    Kdpm2,
    /// The same below the next level and back with noise. `kdpm2 a`.
    Kdpm2Ancestral,
    /// Linear multistep of order 4. `lms`.
    Lms,
    /// DEIS multistep of order 2. `deis`.
    Deis,
    /// Linear multistep of order 4 with constant weights. `ipndm`.
    Ipndm,
    /// To the estimated data and back with noise; for models distilled to consistency. `lcm`.
    Lcm,
    /// Like LCM with less noise (gamma 0.3); for models distilled to trajectory consistency. `tcd`.
    Tcd,
}

impl Scheduler {
    /// Whether it adds fresh noise on the way.
    pub fn is_stochastic(self) -> bool {
        matches!(
            self,
            Self::DpmPp2MSde | Self::DpmPp3MSde | Self::DpmPpSde | Self::EulerAncestral | Self::Kdpm2Ancestral | Self::Lcm | Self::Tcd
        )
    }

    /// All of them.
    pub const ALL: &[Self] = &[
        Self::UniPc,
        Self::UniPc3M,
        Self::DpmPp2M,
        Self::DpmPp3M,
        Self::DpmPp2MSde,
        Self::DpmPp3MSde,
        Self::DpmPpSde,
        Self::DpmPp2S,
        Self::Euler,
        Self::EulerAncestral,
        Self::Heun,
        Self::Kdpm2,
        Self::Kdpm2Ancestral,
        Self::Lms,
        Self::Deis,
        Self::Ipndm,
        Self::Lcm,
        Self::Tcd,
    ];
}
