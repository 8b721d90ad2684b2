import numpy as np
def frame(name, obs): return np.zeros((320,320,3),np.uint8)
