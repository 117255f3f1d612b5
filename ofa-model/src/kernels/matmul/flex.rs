//! Matrix products on the CPU.

use super::{MatmulBackend, transposed};
use crate::kernels::activation::lanes::Identity;
use crate::kernels::plain::{all_f32, numbers, parallel_parts, planes_of_an_image, with_scratch};
use crate::kernels::pointwise::product::{After, Product, ROWS};
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::ops::FloatTensorOps;
use burn::backend::{DType, Flex, TensorMetadata};
use burn::tensor::{Bytes, Shape};
use pulp::Arch;

impl MatmulBackend for Flex {
    fn matrix_product(left: FlexTensor, right: FlexTensor) -> FlexTensor {
        if !all_f32(&[&left, &right]) {
            return Flex::float_matmul(left, right);
        }
        let sizes = Sizes::of(&left, &right);
        if sizes.inner == 0 || !sizes.is_less_to_copy_transposed(&left, &right) {
            return sizes.product(&left.to_contiguous(), &right.to_contiguous());
        }
        let [left, right] = [left, right].map(|matrices| transposed::<Flex>(matrices).to_contiguous());
        transposed::<Flex>(sizes.transposed().product(&right, &left))
    }
}

/// Sizes of one or more matrix products.
#[derive(Clone)]
struct Sizes {
    /// Sizes before the last two dimensions.
    matrices: Vec<usize>,
    rows: usize,
    inner: usize,
    columns: usize,
}

impl Sizes {
    /// # Panics
    ///
    /// If the sizes do not match.
    fn of(left: &FlexTensor, right: &FlexTensor) -> Self {
        let (left, right) = (left.shape().to_vec(), right.shape().to_vec());
        let ((matrices, [rows, inner]), (others, [other_inner, columns])) =
            (left.split_last_chunk().expect("a matrix"), right.split_last_chunk().expect("a matrix"));
        assert!(matrices == others && inner == other_inner, "{left:?} times {right:?}");
        Self { matrices: matrices.to_vec(), rows: *rows, inner: *inner, columns: *columns }
    }

    /// Sizes of the transposed product.
    fn transposed(&self) -> Self {
        Self { rows: self.columns, columns: self.rows, ..self.clone() }
    }

    /// Whether the transposed product copies fewer elements, including transposing its result back.
    fn is_less_to_copy_transposed(&self, left: &FlexTensor, right: &FlexTensor) -> bool {
        let [own, back] = [self.rows * self.inner, self.rows * self.columns];
        let other = self.inner * self.columns;
        let copied = |numbers: usize, in_order: bool| if in_order { 0 } else { numbers };
        let [left_view, right_view] = [left, right].map(|matrices| transposed::<Flex>(matrices.clone()));
        let as_it_is = copied(own, left.is_contiguous()) + copied(other, right.is_contiguous());
        let turned = copied(own, left_view.is_contiguous()) + copied(other, right_view.is_contiguous()) + back;
        turned < as_it_is
    }

    /// The product of contiguous matrices. The kernel's pixels are our columns.
    fn product(&self, left: &FlexTensor, right: &FlexTensor) -> FlexTensor {
        let Self { matrices, rows, inner, columns } = self;
        let (channels, pixels, count) = (*inner, *columns, matrices.iter().product::<usize>());
        let (left, right) = (numbers(left), numbers(right));
        let shape = Shape::from([matrices.as_slice(), &[*rows, pixels]].concat());
        if channels == 0 || rows * pixels * count == 0 {
            return Flex::float_zeros(shape, &Default::default(), burn::tensor::FloatDType::F32);
        }
        let some = planes_of_an_image(count, *rows, channels * pixels, ROWS);
        let product = parallel_parts(count * rows * pixels, rows * pixels, some * pixels, |matrix, offset, out| {
            let input = &right[matrix * channels * pixels..][..channels * pixels];
            let left = &left[(matrix * rows + offset / pixels) * channels..][..out.len() / pixels * channels];
            with_scratch(Product::<Identity>::panel_len(channels), |panel| {
                let after = After::<Identity>::NOTHING;
                Arch::new().dispatch(Product { matrix: left, input, channels, pixels, panel, out, after });
            });
        });
        FlexTensor::new(Bytes::from_elems(product), Layout::contiguous(shape), DType::F32)
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod bits {
    use super::*;
    use crate::kernels::lanes::testing::assert_every_width_gives;
    use crate::testing::Draw;

    #[test]
    fn every_width_of_vectors_sums_in_order() {
        let mut draw = Draw::new(1);
        for (rows, inner, columns) in [(1, 1, 1), (7, 33, 50), (13, 5, 8), (6, 100, 16)] {
            let (left, right) = (draw.numbers(rows * inner), draw.numbers(inner * columns));
            let of = |i: usize| {
                let products =
                    left[i / columns * inner..][..inner].iter().zip(right[i % columns..].iter().step_by(columns));
                products.fold(0.0, |sum: f32, (a, b)| a.mul_add(*b, sum))
            };
            let expected: Vec<f32> = (0..rows * columns).map(of).collect();
            assert_every_width_gives(&expected, |width| {
                let (mut out, mut panel) =
                    (vec![0.0; rows * columns], vec![0.0; Product::<Identity>::panel_len(inner)]);
                let (matrix, input, after) = (&left[..], &right[..], After::<Identity>::NOTHING);
                let (channels, pixels, out_ref, panel) = (inner, columns, &mut out[..], &mut panel[..]);
                width.run(Product { matrix, input, channels, pixels, panel, out: out_ref, after });
                out
            });
        }
    }
}
