//! What follows a product while its sums are at hand.

use super::unary::Function;
use crate::cores::on_all_cores;

/// Operations that an element takes where there is an activation.
const OPERATIONS: usize = 16;

/// Bias, leak, activation and residual; what is empty is left out.
#[derive(Default)]
pub(super) struct Finish<'a> {
    /// By row, the same again where there are more rows: the planes of images are rows.
    pub(super) row_bias: &'a [f32],
    pub(super) column_bias: &'a [f32],
    /// What numbers below 0 are multiplied by, by row.
    pub(super) slope: &'a [f32],
    pub(super) activation: Option<Function>,
    /// Added before the activation, or after it; as large as the product.
    pub(super) residual: &'a [f32],
    pub(super) activation_last: bool,
}

impl Finish<'_> {
    /// For the sums of a row from a column on, in a product of so many columns.
    pub(super) fn apply(&self, [row, column]: [usize; 2], columns: usize, sums: &mut [f32]) {
        let of_row = |numbers: &[f32]| numbers.get(row % numbers.len().max(1)).copied();
        if let Some(bias) = of_row(self.row_bias) {
            sums.iter_mut().for_each(|sum| *sum += bias);
        }
        add(sums, self.column_bias.get(column..).unwrap_or_default());
        let residual = self.residual.get(row * columns + column..).unwrap_or_default();
        if self.activation_last {
            add(sums, residual);
        }
        if let Some(slope) = of_row(self.slope) {
            sums.iter_mut().for_each(|x| *x *= if *x < 0.0 { slope } else { 1.0 });
        }
        self.activation.iter().for_each(|activation| activation(sums));
        if !self.activation_last {
            add(sums, residual);
        }
    }

    /// For a whole product.
    pub(super) fn apply_to_all(&self, columns: usize, sums: &mut [f32]) {
        let operations = OPERATIONS * sums.len();
        on_all_cores(operations, sums.chunks_mut(columns.max(1)).enumerate().collect(), |(row, sums)| self.apply([row, 0], columns, sums));
    }
}

fn add(sums: &mut [f32], others: &[f32]) {
    sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
}
