"""Make the evaluation views of photo.png: run `python make.py` in this folder (torchvision 0.24.0, Pillow 13.0.0)."""
import math
from PIL import Image
from torchvision import transforms

photo = Image.open("photo.png").convert("RGB")
for resolution in (128, 160, 224):
    view = transforms.Compose([transforms.Resize(math.ceil(resolution / 0.875)), transforms.CenterCrop(resolution)])
    view(photo).save(f"eval_{resolution}.png", optimize=True)
