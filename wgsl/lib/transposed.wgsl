// Four rows of four numbers as four columns.
fn transposed(rows: array<vec4<f32>, 4>) -> array<vec4<f32>, 4> {
    let columns = transpose(mat4x4<f32>(rows[0], rows[1], rows[2], rows[3]));
    return array<vec4<f32>, 4>(columns[0], columns[1], columns[2], columns[3]);
}
