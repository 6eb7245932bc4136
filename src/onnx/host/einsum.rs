//! Sums of products over indices that are named by letters.

use crate::onnx::call::{Call, Fact, Output, Outputs};
use crate::onnx::fault::{Fault, unsupported, wrong};
use crate::onnx::strided::{Places, strides};

/// What stands for the axes that an ellipsis leaves out.
const ELLIPSIS: &str = "0123456789";

/// One letter for each axis.
fn letters(term: &str, rank: usize) -> Result<Vec<char>, Fault> {
    let named = term.replace("...", "").chars().count();
    let rest = rank.checked_sub(named).filter(|&rest| rest < ELLIPSIS.len() && (rest == 0 || term.contains("...")));
    let Some(rest) = rest else { return wrong(format!("`{term}` does not fit {rank} axes")) };
    Ok(term.replace("...", &ELLIPSIS[ELLIPSIS.len() - rest..]).chars().collect())
}

/// The letters of the result, where the equation does not tell them: those that occur once, in their order.
fn implicit(terms: &[Vec<char>]) -> Vec<char> {
    let mut all: Vec<char> = terms.concat();
    all.sort_unstable();
    let is_kept = |letter: &char| letter.is_ascii_digit() || all.iter().filter(|other| *other == letter).count() == 1;
    let mut kept: Vec<char> = all.iter().copied().filter(is_kept).collect();
    kept.dedup();
    kept
}

/// How far apart the elements of an operand lie along each of some letters.
fn steps(operand: Fact, term: &[char], letters: &[char]) -> Vec<isize> {
    let strides = strides(operand.shape);
    let step =
        |letter: &char| (0..term.len()).filter(|&axis| term[axis] == *letter && operand.shape[axis] > 1).map(|axis| strides[axis]).sum();
    letters.iter().map(step).collect()
}

/// The extent that a letter stands for.
fn extent(letter: char, terms: &[Vec<char>], operands: &[Fact]) -> Result<usize, Fault> {
    let axes = terms.iter().zip(operands).flat_map(|(term, operand)| term.iter().zip(operand.shape));
    axes.filter(|(own, _)| **own == letter).try_fold(1, |known, (_, &extent)| match (known, extent) {
        (known, 1) => Ok(known),
        (1, extent) => Ok(extent),
        (known, extent) if known == extent => Ok(known),
        _ => wrong(format!("`{letter}` has different extents")),
    })
}

/// All letters once: those of the result, then those that are summed over.
fn order(kept: &[char], terms: &[Vec<char>]) -> Vec<char> {
    let mut order: Vec<char> = Vec::new();
    for &letter in kept.iter().chain(terms.iter().flatten()) {
        if !order.contains(&letter) {
            order.push(letter);
        }
    }
    order
}

/// Any sum of products.
pub(super) fn einsum<'a>(call: &Call<'a>) -> Outputs<'a> {
    let equation: String = call.node.text_or("equation", "")?.chars().filter(|letter| !letter.is_whitespace()).collect();
    let (left, right) = equation.split_once("->").map_or((equation.as_str(), None), |(left, right)| (left, Some(right)));
    let operands = (0..call.inputs.len()).map(|number| call.floats(number)).collect::<Result<Vec<_>, _>>()?;
    if left.split(',').count() != operands.len() {
        return wrong(format!("`{equation}` does not fit {} inputs", operands.len()));
    }
    let terms = left.split(',').zip(&operands).map(|(term, operand)| letters(term, operand.rank())).collect::<Result<Vec<_>, _>>()?;
    let kept = match right {
        Some(right) => {
            let most = terms.iter().map(|term| term.iter().filter(|letter| letter.is_ascii_digit()).count()).max().unwrap_or(0);
            right.replace("...", &ELLIPSIS[ELLIPSIS.len() - most..]).chars().collect()
        }
        None => implicit(&terms),
    };
    let order = order(&kept, &terms);
    let shape = order.iter().map(|letter| extent(*letter, &terms, &operands)).collect::<Result<Vec<_>, _>>()?;
    if shape.iter().try_fold(1usize, |all, &extent| all.checked_mul(extent.max(1))).is_none() {
        return unsupported(format!("`{equation}` has too many terms"));
    }
    let result = shape[..kept.len().min(shape.len())].to_vec();
    if order.len() > 16 || !order.starts_with(&kept) {
        return wrong(format!("`{equation}` is no sum of products"));
    }
    Output::floats(result.clone(), move || {
        let mut walks: Vec<_> =
            operands.iter().zip(&terms).map(|(&operand, term)| Places::new(&shape, &steps(operand, term, &order), 0)).collect();
        let data = operands.iter().map(|operand| operand.f32()).collect::<Result<Vec<_>, _>>()?;
        let summed: usize = shape[result.len()..].iter().product();
        let mut product =
            || data.iter().zip(&mut walks).map(|(data, walk)| walk.next().map_or(0.0, |place| f64::from(data[place]))).product::<f64>();
        Ok((0..result.iter().product::<usize>()).map(|_| (0..summed).map(|_| product()).sum::<f64>() as f32).collect())
    })
}
