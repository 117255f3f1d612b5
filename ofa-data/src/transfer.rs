//! The only two ways in which training moves numbers between host and device, counted.
//!
//! A device works behind the host: [`read_back`] waits until everything queued before is done, so a training step reads
//! once, at its end. `.ci/transfers` refuses any other readback or upload in the learner and in the loader.

use burn::tensor::kind::Basic;
use burn::tensor::{Device, Tensor, TensorData, Transaction};
use std::sync::atomic::{AtomicU64, Ordering};

static UPLOADS: AtomicU64 = AtomicU64::new(0);
static READBACKS: AtomicU64 = AtomicU64::new(0);

/// Transfers of this process so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfers {
    /// Tensors sent to a device.
    pub uploads: u64,
    /// Times the host waited for a device, each time for any number of tensors.
    pub readbacks: u64,
}

impl Transfers {
    /// The transfers of this process until now.
    pub fn until_now() -> Self {
        Self { uploads: UPLOADS.load(Ordering::Relaxed), readbacks: READBACKS.load(Ordering::Relaxed) }
    }

    /// The transfers of this process after `earlier`.
    pub fn since(earlier: Self) -> Self {
        let Self { uploads, readbacks } = Self::until_now();
        Self { uploads: uploads - earlier.uploads, readbacks: readbacks - earlier.readbacks }
    }
}

/// Sends numbers to `device`. Does not wait for it.
pub fn upload<const D: usize, K: Basic>(data: TensorData, device: &Device) -> Tensor<D, K> {
    UPLOADS.fetch_add(1, Ordering::Relaxed);
    Tensor::from_data(data, device)
}

/// Waits for the device and reads the registered tensors, in order. All must be on the same plain device.
///
/// # Panics
///
/// If the device fails.
pub fn read_back(tensors: Transaction) -> Vec<TensorData> {
    READBACKS.fetch_add(1, Ordering::Relaxed);
    tensors.execute()
}

/// Reads one tensor; see [`read_back`].
pub fn read_one<const D: usize, K: burn::tensor::kind::Transaction>(tensor: Tensor<D, K>) -> TensorData {
    let mut read = read_back(Transaction::default().register(tensor));
    read.pop().expect("a transaction returns what was registered")
}

/// Whether the tensors of `device`, a plain one, lie in host memory, as those of flex do. Nothing is gained there by
/// moving work to the device, and its results must keep their bits.
pub fn is_on_host(device: &Device) -> bool {
    // burn names the backend of a device only to crates that enable the backend's feature.
    format!("{device:?}").starts_with("Device<Flex")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_tensors_are_read_at_once_in_order() {
        let device = Device::flex();
        assert!(is_on_host(&device));
        let before = Transfers::until_now();
        let floats: Tensor<1> = upload(TensorData::from([1.5f32, 2.5]), &device);
        let tensors = Transaction::default().register(floats.clone().greater_elem(2.0)).register(floats);
        let read = read_back(tensors);
        assert_eq!(read[0].iter::<bool>().collect::<Vec<_>>(), [false, true]);
        assert_eq!(read[1].iter::<f32>().collect::<Vec<_>>(), [1.5, 2.5]);
        let since = Transfers::since(before);
        assert!(since.uploads >= 1 && since.readbacks >= 1, "{since:?}");
    }
}
