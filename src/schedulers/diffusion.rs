//! What a few settings of diffusers' multistep classes take from the diffusion schedule that these classes were first made for.

use super::fields::Fields;
use crate::Result;

/// The largest and the least noise / signal of the diffusion schedule.
pub(super) fn sigma_range(fields: &Fields<'_>) -> Result<(f64, f64)> {
    fields.require_null("trained_betas")?;
    fields.require_flag("rescale_betas_zero_snr", false, false)?;
    let (start, end) = (fields.number("beta_start", 1e-4)?, fields.number("beta_end", 0.02)?);
    let power = match fields.text("beta_schedule", "linear")? {
        "linear" => 1.0,
        "scaled_linear" => 2.0,
        other => return Err(fields.unsupported("beta_schedule", other)),
    };
    let count = fields.num_train_timesteps()?;
    let (from, to) = (start.powf(1.0 / power), end.powf(1.0 / power));
    let betas = (0..count as usize).map(|i| (from + i as f64 / (count - 1.0) * (to - from)).powf(power));
    // Rounded to f32 like there: near 1 this shows.
    let mut signals = betas.map(|beta| f64::from(1.0 - beta as f32));
    let first = signals.next().unwrap_or(1.0);
    let last = signals.fold(first, |product, signal| product * signal);
    Ok((noise_to_signal(last as f32), noise_to_signal(first as f32)))
}

fn noise_to_signal(signal: f32) -> f64 {
    ((1.0 - signal) / signal).sqrt().into()
}
