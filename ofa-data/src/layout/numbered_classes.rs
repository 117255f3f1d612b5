//! Classes that are known by the labels of images alone.

use crate::error::DataError;
use crate::set::ImageSet;

/// Names of classes without names: their numbers.
pub(super) fn names(classes: usize) -> Vec<String> {
    (0..classes).map(|class| class.to_string()).collect()
}

/// Number of classes by the largest label.
pub(super) fn count(train: &ImageSet) -> usize {
    (0..train.len()).map(|i| train.label(i) + 1).max().unwrap_or(0)
}

/// One line about the classes that no training image shows; `None` if all are shown.
///
/// # Errors
/// [`DataError::EmptyClasses`] if most classes are empty, unless the set names its classes.
pub(super) fn gaps(train: &ImageSet, classes: usize, are_named: bool) -> Result<Option<String>, DataError> {
    let mut is_shown = vec![false; classes];
    (0..train.len()).for_each(|i| is_shown[train.label(i)] = true);
    let empty: Vec<usize> = (0..classes).filter(|&class| !is_shown[class]).collect();
    if 2 * empty.len() > classes && !are_named {
        return Err(DataError::EmptyClasses { empty: empty.len(), classes });
    }
    let first: Vec<String> = empty.iter().take(5).map(usize::to_string).collect();
    let more = if empty.len() > first.len() { ", ..." } else { "" };
    let (list, hint) = (first.join(", "), if empty == [0] { ": do labels count from 1? They begin at 0" } else { "" });
    let count = empty.len();
    Ok((count > 0).then(|| format!("{count} of {classes} classes have no training image (class {list}{more}){hint}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::samples::tiny_set;

    #[test]
    fn d3_classes_without_training_images_are_counted_and_refused_when_they_are_most() {
        let set = tiny_set(9, 3);
        assert_eq!((count(&set), gaps(&set, 3, false).unwrap()), (3, None));
        assert_eq!(gaps(&set, 5, false).unwrap().unwrap(), "2 of 5 classes have no training image (class 3, 4)");
        let message = gaps(&set, 7, false).unwrap_err().to_string();
        assert!(message.starts_with("4 of 7 classes have no training image"), "{message}");
        let note = gaps(&set, 12, true).unwrap().unwrap();
        assert_eq!(note, "9 of 12 classes have no training image (class 3, 4, 5, 6, 7, ...)");
    }
}
