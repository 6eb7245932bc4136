//! What was measured on published models by the authors of MagCache and of TeaCache.

/// Whose like a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "names of models")]
pub enum Kin {
    I2v14b480p,
    /// Nobody has measured Animate, which is made of these.
    I2v14b720p,
    T2v14b,
    T2v1_3b,
    Ti2v5b,
    /// Its high-noise or low-noise expert.
    T2vA14b {
        low: bool,
    },
    /// The same.
    I2vA14b {
        low: bool,
    },
}

/// Ratios of the residual's size from step to step, with the prompt, in a run at a shift; the first step, which has none, is left out.
/// From the scripts of MagCache.
struct Table {
    shift: f64,
    ratios: &'static [f64],
}

/// The first step of the low-noise expert.
const T2V_SWITCH: usize = 26;
const I2V_SWITCH: usize = 15;

/// From so many pixels on, a model of I2V is like the one for 720p: the rule of WanGP for the coefficients of TeaCache.
const LARGE: usize = 1280 * 720;

impl Kin {
    /// Of I2V with CLIP, or what is made of it, for frames of so many pixels.
    pub fn i2v(pixels: usize) -> Self {
        if pixels < LARGE { Self::I2v14b480p } else { Self::I2v14b720p }
    }

    /// Noise levels and ratios.
    pub(super) fn points(self) -> Vec<(f64, f64)> {
        let (table, switch, low) = match self {
            Self::I2v14b480p => (I2V_14B_480P, None, false),
            Self::I2v14b720p => (I2V_14B_720P, None, false),
            Self::T2v14b => (T2V_14B, None, false),
            Self::T2v1_3b => (T2V_1_3B, None, false),
            Self::Ti2v5b => (TI2V_5B, None, false),
            Self::T2vA14b { low } => (T2V_A14B, Some(T2V_SWITCH), low),
            Self::I2vA14b { low } => (I2V_A14B, Some(I2V_SWITCH), low),
        };
        let points = table.points();
        match (switch, low) {
            (None, _) => points,
            (Some(first), true) => points[first..].to_vec(),
            (Some(end), false) => points[..end].to_vec(),
        }
    }

    /// Coefficients, highest power first, by which TeaCache scales changes of the time embedding. The experts of A14B were never measured:
    /// they have those of the 14B at 720p, as others give them.
    pub(super) fn tea(self) -> &'static [f64] {
        match self {
            Self::T2v1_3b => &[2.39676752e3, -1.31110545e3, 2.01331979e2, -8.29855975, 1.37887774e-1],
            Self::T2v14b => &[-5784.54975374, 5449.50911966, -1811.16591783, 256.27178429, -13.02252404],
            Self::I2v14b480p => &[-3.02331670e2, 2.23948934e2, -5.25463970e1, 5.87348440, -2.01973289e-1],
            Self::I2v14b720p | Self::T2vA14b { .. } | Self::I2vA14b { .. } => {
                &[-114.36346466, 65.26524496, -18.82220707, 4.91518089, -0.23412683]
            }
            Self::Ti2v5b => &[1.57472669e5, -1.15702395e5, 3.10761669e4, -3.83116651e3, 2.21608777e2, -4.81179567],
        }
    }
}

impl Table {
    fn points(&self) -> Vec<(f64, f64)> {
        let count = self.ratios.len() + 1;
        let sigma = |i: usize| {
            let level = 1.0 - i as f64 / count as f64;
            self.shift * level / (1.0 + (self.shift - 1.0) * level)
        };
        (0..count).map(|i| (sigma(i), if i == 0 { 1.0 } else { self.ratios[i - 1] })).collect()
    }
}

const I2V_14B_480P: Table = Table {
    shift: 3.0,
    ratios: &[
        0.9878, 0.9756, 0.9831, 0.982, 0.9888, 0.9876, 0.9896, 0.9905, 0.9938, 0.9886, 0.9907, 0.9885, 0.9906, 0.9896, 0.986, 0.9882,
        0.9876, 0.9881, 0.9872, 0.9857, 0.9854, 0.9816, 0.9841, 0.9795, 0.9815, 0.9774, 0.9782, 0.9736, 0.9708, 0.9706, 0.9659, 0.9611,
        0.9567, 0.9496, 0.9397, 0.9322, 0.9188, 0.9095, 0.9262,
    ],
};

const I2V_14B_720P: Table = Table {
    shift: 5.0,
    ratios: &[
        0.9943, 0.9859, 0.9827, 0.9902, 0.9891, 0.9865, 0.9945, 0.9891, 0.9912, 0.991, 0.9921, 0.9951, 0.9958, 0.9907, 0.991, 0.9917,
        0.9904, 0.992, 0.991, 0.986, 0.9885, 0.9885, 0.9886, 0.9872, 0.985, 0.9826, 0.9839, 0.9794, 0.9754, 0.975, 0.973, 0.9683, 0.9626,
        0.9534, 0.9465, 0.934, 0.9164, 0.8909, 0.8679,
    ],
};

const T2V_14B: Table = Table {
    shift: 5.0,
    ratios: &[
        1.025, 1.0003, 0.9985, 0.9978, 0.9966, 0.9948, 0.9947, 0.9966, 0.9943, 0.9953, 0.9947, 0.9944, 0.9952, 0.9938, 0.994, 0.9952,
        0.9941, 0.9943, 0.9935, 0.9942, 0.9927, 0.9931, 0.9921, 0.9922, 0.9922, 0.9916, 0.9914, 0.9898, 0.99, 0.9887, 0.9877, 0.9877,
        0.9857, 0.985, 0.9838, 0.9818, 0.9804, 0.9768, 0.9755, 0.9718, 0.9671, 0.9635, 0.9563, 0.9493, 0.9396, 0.9251, 0.9069, 0.8796,
        0.8611,
    ],
};

const T2V_1_3B: Table = Table {
    shift: 5.0,
    ratios: &[
        1.0124, 1.0017, 0.9979, 0.9968, 0.9963, 0.9957, 0.9942, 0.9958, 0.9957, 0.9951, 0.9953, 0.9955, 0.9954, 0.9954, 0.9949, 0.9952,
        0.9948, 0.9948, 0.9941, 0.9942, 0.994, 0.9939, 0.9935, 0.9931, 0.9927, 0.9923, 0.9917, 0.9914, 0.9907, 0.99, 0.9894, 0.9885,
        0.9876, 0.9864, 0.985, 0.9836, 0.982, 0.9798, 0.9772, 0.9741, 0.97, 0.9654, 0.9593, 0.9509, 0.9401, 0.924, 0.9024, 0.8682, 0.8184,
    ],
};

const TI2V_5B: Table = Table {
    shift: 5.0,
    ratios: &[
        0.995, 0.9944, 0.9956, 0.995, 0.9953, 0.9947, 0.9946, 0.9946, 0.9941, 0.9945, 0.9941, 0.994, 0.9938, 0.9935, 0.9938, 0.9933, 0.993,
        0.9922, 0.992, 0.992, 0.9913, 0.9911, 0.9916, 0.9896, 0.9896, 0.9884, 0.9883, 0.9883, 0.9871, 0.9856, 0.9851, 0.9841, 0.9828,
        0.981, 0.9798, 0.9785, 0.9756, 0.974, 0.9717, 0.9692, 0.9651, 0.9626, 0.9584, 0.9548, 0.9494, 0.9468, 0.9458, 0.9484, 0.9695,
    ],
};

const T2V_A14B: Table = Table {
    shift: 12.0,
    ratios: &[
        1.0012, 0.9982, 0.997, 0.997, 0.9966, 0.996, 0.9958, 0.9948, 0.9963, 0.9966, 0.9953, 0.9958, 0.9968, 0.9956, 0.9944, 0.9959,
        0.9947, 0.9945, 0.9939, 0.9939, 0.9935, 0.9928, 0.9927, 0.9906, 0.9912, 0.6552, 0.9881, 0.9877, 0.9851, 0.9831, 0.9805, 0.9778,
        0.9728, 0.9673, 0.9586, 0.9438, 0.9212, 0.8811, 0.8026,
    ],
};

const I2V_A14B: Table = Table {
    shift: 5.0,
    ratios: &[
        0.9919, 0.9936, 0.9933, 0.9925, 0.9939, 0.9943, 0.9928, 0.9939, 0.9927, 0.9932, 0.9938, 0.9927, 0.9922, 0.9918, 0.9108, 0.9893,
        0.9909, 0.9885, 0.9889, 0.9881, 0.9871, 0.9861, 0.9843, 0.983, 0.9819, 0.9813, 0.9783, 0.9762, 0.9726, 0.9709, 0.9657, 0.9605,
        0.9532, 0.9458, 0.933, 0.917, 0.8917, 0.8541, 0.7982,
    ],
};
