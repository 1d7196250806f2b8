"""From archive members to pixels.

decoding.py       image files to one uint8 array, decoded once per data set
dicom.py          DICOM radiographs as a monitor shows them, and what their headers say
transform.py      how the values of an image are scaled for a net
resizing.py       images at the size that nets see
image_pass.py     images and their copies, made in shards
augmentation.py   copies of COVID training images: flip, small rotation, small distortion
uncropped.py      images before their centre is cut out, for recipes that draw their own crops
changes.py        images changed in one respect: their middle, their sharpness, how they were stored
masks.py          masks of lesions and of lungs, framed as their images are
put_aside.py      the sentence about images that cannot be used
contact_sheet.py  a page of thumbnails, to see what a data set's images look like
"""
