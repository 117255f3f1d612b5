use super::{batched_matmul, linear, matmul};
use crate::testing::Draw;
use burn::tensor::{FloatDType, Tensor, TensorData, Tolerance};

/// (matrices, rows, inner, columns): sizes that fill no block, and sizes that are split among threads.
const SIZES: [[usize; 4]; 5] = [[1, 1, 1, 1], [2, 7, 33, 50], [1, 64, 120, 100], [4, 5, 64, 1], [3, 1, 40, 9]];

/// The product and the gradients of both sides, computed by `product`; each side may be a transposed view.
fn run(
    [matrices, rows, inner, columns]: [usize; 4],
    turned: [bool; 2],
    dtype: FloatDType,
    product: impl Fn(Tensor<3>, Tensor<3>) -> Tensor<3>,
) -> Vec<TensorData> {
    let mut draw = Draw::new(1);
    let mut side = |[rows, columns]: [usize; 2], turned: bool| {
        let sizes = if turned { [matrices, columns, rows] } else { [matrices, rows, columns] };
        let leaf = Tensor::from_inner(draw.normal(sizes, 0.0, 1.0).cast(dtype)).require_grad();
        (leaf.clone(), if turned { leaf.swap_dims(1, 2) } else { leaf })
    };
    let (left_leaf, left) = side([rows, inner], turned[0]);
    let (right_leaf, right) = side([inner, columns], turned[1]);
    let output = product(left, right);
    let direction = Tensor::from_inner(draw.normal(output.dims(), 0.0, 1.0).cast(dtype));
    let gradients = (output.clone() * direction).sum().backward();
    let tensors = [output.inner(), left_leaf.grad(&gradients).unwrap(), right_leaf.grad(&gradients).unwrap()];
    tensors.map(|tensor| tensor.cast(FloatDType::F32).into_data()).to_vec()
}

#[test]
fn products_and_gradients_are_those_of_burn_whatever_is_transposed() {
    for sizes in SIZES {
        for turned in [[false, false], [false, true], [true, false], [true, true]] {
            let expected = run(sizes, turned, FloatDType::F32, |left, right| left.matmul(right));
            for dtype in [FloatDType::F32, FloatDType::F64] {
                let found = run(sizes, turned, dtype, batched_matmul);
                for (found, expected) in found.iter().zip(&expected) {
                    found.assert_approx_eq::<f32>(expected, Tolerance::absolute(1e-4));
                }
            }
        }
    }
}

#[test]
fn a_transposed_view_has_the_bits_of_its_copy() {
    for sizes in SIZES {
        let [in_order, turned] = [[false, false], [true, true]].map(|turned| {
            let copied = |tensor: Tensor<3>| Tensor::<3>::from_data(tensor.into_data(), &burn::tensor::Device::flex());
            let mut draw = Draw::new(2);
            let [matrices, rows, inner, columns] = sizes;
            let mut side = |sizes: [usize; 3], turned: bool| {
                let tensor = draw.normal(sizes, 0.0, 1.0);
                if turned { copied(tensor.swap_dims(1, 2)).swap_dims(1, 2) } else { tensor }
            };
            let left = side([matrices, rows, inner], turned[0]);
            batched_matmul(left, side([matrices, inner, columns], turned[1])).into_data()
        });
        assert_eq!(in_order, turned, "{sizes:?}");
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let in_pool = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run([1, 64, 120, 100], [false, true], FloatDType::F32, batched_matmul))
    };
    assert_eq!(in_pool(1), in_pool(3));
}

#[test]
fn single_matrices_are_multiplied_too() {
    let mut draw = Draw::new(3);
    let (left, right) = (draw.normal([3, 5], 0.0, 1.0), draw.normal([4, 5], 0.0, 1.0).transpose());
    let expected = left.clone().matmul(right.clone()).into_data();
    matmul(left, right).into_data().assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
}

#[test]
fn a_linear_layer_and_its_gradients_are_those_of_burn() {
    let mut draw = Draw::new(3);
    let (input, weight) = (draw.normal([9, 20], 0.0, 1.0), draw.normal([7, 20], 0.0, 1.0));
    let (bias, direction) = (draw.normal([7], 0.0, 1.0), draw.normal([9, 7], 0.0, 1.0));
    let run = |own: bool| {
        let [input, weight] = [&input, &weight].map(|tensor| Tensor::from_inner(tensor.clone()).require_grad());
        let bias = Tensor::from_inner(bias.clone()).require_grad();
        let output = match own {
            true => linear(input.clone(), weight.clone(), bias.clone()),
            false => input.clone().matmul(weight.clone().transpose()) + bias.clone().unsqueeze(),
        };
        let gradients = (output.clone() * Tensor::from_inner(direction.clone())).sum().backward();
        let matrices = [&input, &weight].map(|tensor| tensor.grad(&gradients).unwrap().into_data());
        [vec![output.into_data(), bias.grad(&gradients).unwrap().into_data()], matrices.to_vec()].concat()
    };
    for (found, expected) in run(true).iter().zip(run(false)) {
        found.assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
    }
}
