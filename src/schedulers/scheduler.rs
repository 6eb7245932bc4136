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
    /// DPM-Solver++ of order 2 with noise: two evaluations a step. `dpm++ sde`.
    DpmPpSde,
    /// Euler's method along the flow. `euler`, and `ddim`, which is the same for a flow.
    Euler,
    /// Euler's method below the next level and back with noise. `euler a`.
    EulerAncestral,
    /// Heun's method: two evaluations a step. `heun`.
    Heun,
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
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::UniPc,
        Self::UniPc3M,
        Self::DpmPp2M,
        Self::DpmPp3M,
        Self::DpmPp2MSde,
        Self::DpmPpSde,
        Self::Euler,
        Self::EulerAncestral,
        Self::Heun,
        Self::Lms,
        Self::Deis,
        Self::Ipndm,
        Self::Lcm,
        Self::Tcd,
    ];
}
