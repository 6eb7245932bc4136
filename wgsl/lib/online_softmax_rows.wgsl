// One thread for each query turns the scores of a tile, in rows of `probs`, into probs, and scales its running maximum and sum.
fn online_softmax(thread: u32, vec4s: u32, row_max: ptr<function, f32>, row_sum: ptr<function, f32>) {
    var most = vec4<f32>(*row_max);
    for (var j = 0u; j < vec4s; j++) { most = max(most, probs[thread * STRIDE + j]); }
    let before = *row_max;
    *row_max = max(max(most.x, most.y), max(most.z, most.w));
    var sum = vec4<f32>();
    for (var j = 0u; j < vec4s; j++) {
        let score = probs[thread * STRIDE + j];
        let prob = select(vec4<f32>(), exp_p(score - *row_max), score > vec4<f32>(MASKED));
        probs[thread * STRIDE + j] = prob;
        sum += prob;
    }
    rescale[thread] = exp_p(vec4<f32>(before - *row_max)).x;
    *row_sum = *row_sum * rescale[thread] + dot(sum, vec4<f32>(1.0));
}
