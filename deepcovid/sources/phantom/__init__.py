"""Synthetic chest radiographs: drawn, not photographed, so that the truth about each is known.

anatomy    -> how many centimetres of lung, soft tissue and bone each ray passes
lesions    -> findings with a known place: how many centimetres of lung they fill
imaging    -> Beer-Lambert attenuation, scatter, detector noise, greyscale
population -> patients in three groups, with views, repeats and a catalogue
"""
