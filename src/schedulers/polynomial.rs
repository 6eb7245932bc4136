//! Weights that are right for every polynomial of low degree: what all multistep methods are made of.

/// The weights with `sum over j of nodes[j]^i * weights[j] = moments[i]`, one node a moment, all nodes different.
pub(super) fn weights(nodes: &[f64], moments: &[f64]) -> Vec<f64> {
    let mut weights = moments.to_vec();
    for (k, node) in nodes.iter().enumerate() {
        for i in (k + 1..nodes.len()).rev() {
            weights[i] -= node * weights[i - 1];
        }
    }
    for k in (0..nodes.len().saturating_sub(1)).rev() {
        for i in k + 1..nodes.len() {
            weights[i] /= nodes[i] - nodes[i - k - 1];
        }
        for i in k..nodes.len() - 1 {
            weights[i] -= weights[i + 1];
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    #[test]
    fn weights_reproduce_their_moments() {
        let (nodes, moments) = ([0.0, -0.5, 2.0, 0.25], [1.0, -2.0, 0.5, 3.0]);
        let weights = super::weights(&nodes, &moments);
        for (i, moment) in moments.iter().enumerate() {
            let sum: f64 = nodes.iter().zip(&weights).map(|(node, weight)| node.powi(i as i32) * weight).sum();
            assert!((sum - moment).abs() < 1e-12, "moment {i}: {sum}");
        }
    }
}
