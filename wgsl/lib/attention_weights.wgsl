// One lane for each query turns the scores of a tile, in rows of `weights`, into weights, and scales its running maximum and sum.
fn weigh(lane: u32, fours: u32, highest: ptr<function, f32>, total: ptr<function, f32>) {
    var most = vec4<f32>(*highest);
    for (var j = 0u; j < fours; j++) { most = max(most, weights[lane * STRIDE + j]); }
    let before = *highest;
    *highest = max(max(most.x, most.y), max(most.z, most.w));
    var sum = vec4<f32>();
    for (var j = 0u; j < fours; j++) {
        let score = weights[lane * STRIDE + j];
        let weight = select(vec4<f32>(), weight_of(score - *highest), score > vec4<f32>(LOWEST));
        weights[lane * STRIDE + j] = weight;
        sum += weight;
    }
    factors[lane] = weight_of(vec4<f32>(before - *highest)).x;
    *total = *total * factors[lane] + dot(sum, vec4<f32>(1.0));
}
